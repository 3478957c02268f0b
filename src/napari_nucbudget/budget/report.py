"""Tables and figures of an experiment, from its finished cells."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nucbudget.budget.cells import CellStore, cells_of
from napari_nucbudget.budget.recipe import Recipe
from napari_nucbudget.budget.tables import classification_text, detection_text
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.io.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["finished_cells", "tidy_table", "write_report"]


def finished_cells(recipe: Recipe, store: CellStore) -> list[dict[str, Any]]:
    """Finished cells in the order of the recipe."""
    found = (store.load(cell) for cell in cells_of(recipe))
    return [cell for cell in found if cell is not None]


def tidy_table(cells: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a cell and way of choosing the weights (or set of images); numbers as columns."""
    import pandas as pd

    rows = []
    for cell in cells:
        facts = {k: cell.get(k) for k in ("row", "budget", "seed", "labels")}
        facts |= {k: cell[k] for k in ("train_seconds", "steps", "stopped") if k in cell}
        for scored, scores in cell["scores"].items():
            rows.append({**facts, "scored": scored, **_flat(scores)})
    return pd.DataFrame(rows)


def _flat(scores: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in scores.items():
        if key in ("confusion", "task", "seconds"):
            continue
        if isinstance(value, dict):
            flat |= {f"{key}_{name}": part for name, part in value.items()}
        elif key.endswith("_ci"):
            flat[f"{key}_low"], flat[f"{key}_high"] = value
        else:
            flat[key] = value
    return flat


def write_report(
    recipe: Recipe, store: CellStore, results: Path, split: str, command: str
) -> list[Path]:
    """Write NAME.csv, NAME.md and the figures; returns their paths.

    Raises
    ------
    ConfigError
        Where no cell is finished.
    OutputError
        Where a file cannot be written.
    """
    from napari_nucbudget.budget.figures import figures_of

    cells = finished_cells(recipe, store)
    if not cells:
        raise ConfigError(f"{store.folder} holds no finished cell of {recipe.name} yet.")
    text: Callable[..., str] = (
        classification_text if recipe.task == "classification" else detection_text
    )
    stem = recipe.name if split == "test" else f"{recipe.name}-{split}"
    buffer = io.StringIO()
    tidy_table(cells).round(5).to_csv(buffer, index=False, lineterminator="\n")
    drawn = figures_of(recipe, cells)
    names = {title: f"{stem}-{kind}.svg" for kind, (title, _) in drawn.items()}
    files = {
        f"{stem}.csv": buffer.getvalue(),
        f"{stem}.md": text(
            recipe, cells, total=len(cells_of(recipe)), split=split, command=command, figures=names
        ),
    }
    files |= {f"{stem}-{kind}.svg": svg for kind, (_, svg) in drawn.items()}
    paths = []
    for name, content in files.items():
        write_atomically(results / name, content.encode())
        paths.append(results / name)
    return paths
