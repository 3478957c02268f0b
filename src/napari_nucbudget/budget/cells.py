"""The cells of an experiment, and the folder in which each finished one is a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_nucbudget.budget.recipe import Recipe
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.io.files import write_atomically

__all__ = ["DESCRIPTORS", "NO_LABEL", "ZERO_LABEL", "Cell", "CellStore", "cells_of", "part_of"]

DESCRIPTORS = "descriptors"
ZERO_LABEL = "zero-label"
NO_LABEL = "0"
"""Budget of a model that is scored as it is."""


@dataclass(frozen=True)
class Cell:
    """One run: a row of the table at one budget, with one draw of the labels.

    Attributes
    ----------
    cost : float
        About how long it takes, in patches or crops that are trained on.
    model : str
        Zero-label rows: which model; empty is the recipe's parent.
    """

    row: str
    budget: str
    seed: int
    cost: float = 1.0
    model: str = ""

    @property
    def id(self) -> str:
        """Name of its file."""
        budget = self.budget.replace("%", "pc")
        return re.sub(r"[^\w.-]", "_", f"{self.row}-{budget}-{self.seed}")


def cells_of(recipe: Recipe) -> list[Cell]:
    """All cells, in the order in which they run: the cheap ones, then draw by draw."""
    cells = []
    if recipe.parent is not None:
        cells.append(Cell(ZERO_LABEL, NO_LABEL, 0))
    cells += [Cell(f"{ZERO_LABEL} {name}", NO_LABEL, 0, model=name) for name in recipe.zero_label]
    drawn = [
        (budget, seed)
        for seed in range(recipe.draws)
        for budget in recipe.budgets
        if seed < recipe.draws_of(budget)
    ]
    if recipe.descriptors:
        cells += [Cell(DESCRIPTORS, budget, seed) for budget, seed in drawn]
    for budget, seed in drawn:
        for row in recipe.methods:
            config = recipe.config(row, budget)
            each = config.batch_size
            if "ladder" in config.method or "match" in config.method:
                each += 2 * config.unlabelled_batch
            cells.append(Cell(row, budget, seed, cost=float(config.steps * each)))
    return cells


def part_of(cells: list[Cell], part: tuple[int, int]) -> list[Cell]:
    """Part i of n (from 1) of the cells, about equal in cost; the parts are disjoint."""
    index, count = part
    load = [0.0] * count
    mine = []
    for cell in cells:
        least = load.index(min(load))
        load[least] += cell.cost
        if least == index - 1:
            mine.append(cell)
    return mine


class CellStore:
    """Finished cells of one experiment in a folder.

    Raises
    ------
    ConfigError
        Where the folder holds the cells of other settings.
    """

    def __init__(self, folder: Path, recipe: Recipe, fingerprint: str) -> None:
        self.folder, self._fingerprint = folder, fingerprint
        stated = folder / "recipe.json"
        if stated.exists():
            before = self._read(stated)
            if before.get("fingerprint") != fingerprint:
                raise ConfigError(
                    f"{folder} holds cells of other settings (recipe {before.get('name')!r}, "
                    f"now {recipe.name!r}). Give another --out, or delete that folder."
                )
            return
        facts = {
            "name": recipe.name,
            "fingerprint": fingerprint,
            "recipe": recipe.model_dump(mode="json"),
        }
        write_atomically(stated, (json.dumps(facts, indent=1) + "\n").encode())

    def load(self, cell: Cell) -> dict[str, Any] | None:
        """What a finished cell found, or None."""
        path = self._path(cell)
        if not path.exists():
            return None
        found = self._read(path)
        if found.get("fingerprint") != self._fingerprint:
            raise ConfigError(f"{path} comes from other settings; give another --out.")
        return found

    def save(self, cell: Cell, result: dict[str, Any]) -> dict[str, Any]:
        """Write a finished cell, whole or not at all."""
        facts = {"row": cell.row, "budget": cell.budget, "seed": cell.seed}
        whole = {**facts, "fingerprint": self._fingerprint, **result}
        write_atomically(self._path(cell), (json.dumps(whole, indent=1) + "\n").encode())
        return whole

    def _path(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.id}.json"

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} cannot be read: {error}. Delete it to have it anew."
            ) from error
        if not isinstance(found, dict):
            raise ConfigError(f"{path} must hold one JSON object; delete it to have it anew.")
        return found
