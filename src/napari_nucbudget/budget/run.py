"""Running the cells of a recipe that are not there yet."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_nucbudget.budget.cells import Cell, CellStore, cells_of, part_of
from napari_nucbudget.budget.data import data_facts, read_data
from napari_nucbudget.budget.parents import parent_facts
from napari_nucbudget.budget.recipe import Recipe
from napari_nucbudget.errors import OutputError, ProjectLockedError
from napari_nucbudget.project.lock import WriteLock
from napari_nucbudget.registry import Registry
from napari_nucbudget.types.labels import LabelSet

__all__ = ["BENCHES", "CellReport", "open_store", "run_recipe"]

BENCHES = Registry(
    "kind of experiment",
    {
        "classification": "napari_nucbudget.budget.classification:ClassificationBench",
        "detection": "napari_nucbudget.budget.detection:DetectionBench",
    },
)


@dataclass(frozen=True)
class CellReport:
    """What a process is doing.

    Attributes
    ----------
    done, total : int
        Cells of this process' part.
    remaining_s : float or None
        About how long the rest takes; None before anything is known.
    result : dict or None
        What the cell found, at its end.
    """

    done: int
    total: int
    cell: Cell
    note: str
    remaining_s: float | None
    result: dict[str, Any] | None = None


def open_store(
    recipe: Recipe,
    out: Path,
    *,
    split: str,
    labels: Mapping[str, LabelSet] | None = None,
    reading: bool = False,
) -> CellStore:
    """The folder of finished cells; one of other settings, or other `labels`, is refused.

    With `reading` its recipe is not written down.
    """
    facts = {"split": split, **parent_facts(recipe), **data_facts(labels or {})}
    return CellStore(out, recipe, facts, reading=reading)


def run_recipe(
    recipe: Recipe,
    *,
    data: Path,
    out: Path,
    split: str = "test",
    part: tuple[int, int] = (1, 1),
    threads: int = 0,
    device: str = "auto",
) -> Generator[CellReport, None, CellStore]:
    """Compute every cell of a part that has no file yet, and write it when it is finished.

    What was killed begins the cell in which it was anew; finished cells are
    never computed again. Processes with different parts of one whole may
    share `out`.

    Parameters
    ----------
    recipe : Recipe
    data : Path
        Folder of the label set folders.
    out : Path
        Folder of this experiment.
    split : str
        Images that are scored: ``test``, or ``validation`` to tune settings.
    part : (int, int)
        Part i of n, from 1.
    threads : int
        CPU threads of this process; 0 leaves the choice to torch.
    device : str

    Raises
    ------
    ConfigError
        Where `out` belongs to other settings or data.
    LabelSetError
        Where a label set of the recipe is not in `data`.
    OutputError
        Where another process computes the same cell in `out`.
    """
    labels = read_data(recipe, data, split=split)
    store = open_store(recipe, out, split=split, labels=labels)
    if threads:
        torch.set_num_threads(threads)
    mine = part_of(cells_of(recipe), part)
    left = [cell for cell in mine if store.load(cell) is None]
    if not left:
        return store
    bench = BENCHES[recipe.task](
        recipe, labels, out=out, split=split, threads=threads, device=device
    )
    spent_s = spent_cost = 0.0
    for number, cell in enumerate(left):
        done = len(mine) - len(left) + number
        rest = sum(c.cost for c in left[number:])
        remaining = spent_s / spent_cost * rest if spent_cost > 0 else None
        started = time.monotonic()
        with _alone(out, cell):
            if store.load(cell) is not None:
                continue  # another process was quicker
            steps = bench.run(cell)
            while True:
                try:
                    note = next(steps)
                except StopIteration as end:
                    result = store.save(cell, end.value)
                    break
                yield CellReport(done, len(mine), cell, note, remaining)
        if cell.cost > 1:
            spent_s += time.monotonic() - started
            spent_cost += cell.cost
        rest = sum(c.cost for c in left[number + 1 :])
        remaining = spent_s / spent_cost * rest if spent_cost > 0 else None
        yield CellReport(done + 1, len(mine), cell, "done", remaining, result)
    return store


@contextmanager
def _alone(out: Path, cell: Cell) -> Iterator[None]:
    """Keep other processes from a cell until it is finished or given up."""
    work = out / "work"
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = WriteLock(work / cell.id)
    except ProjectLockedError as error:
        raise OutputError(
            f"Another process computes {cell.row}, {cell.budget}, draw {cell.seed} in {out} at "
            "this moment. Wait for it, or give each process a part of its own (--part 1/2 and "
            "--part 2/2)."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{work} cannot be written: {error.strerror or error}. Choose another folder (--out)."
        ) from error
    try:
        yield
    finally:
        lock.release()
    # who still gets this lock finds a finished cell
    with suppress(OSError):
        lock.path.unlink()
