"""The cells of an experiment, and the folder in which each finished one is a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from napari_nucbudget.budget.recipe import DESCRIPTORS, ZERO_LABEL, Recipe, file_name
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.models.library import load_card
from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.scores import DetectionScores

__all__ = ["NO_LABEL", "Cell", "CellStore", "cells_of", "part_of"]

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
        return file_name(f"{self.row}-{budget}-{self.seed}")


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
    """Finished cells of one experiment in a folder, each with the settings it was run with.

    Budgets, rows and draws may be added to a recipe whose folder is there
    already; what was run must not have changed. Facts that an older folder
    lacks are written down from then on, unless it is only `reading`.

    Raises
    ------
    ConfigError
        Where the folder holds the cells of another recipe, or of other settings
        or data, or a file of it is damaged.
    UnknownNameError, ModelError
        Where a model that is scored as it is cannot be found.
    """

    def __init__(
        self, folder: Path, recipe: Recipe, facts: dict[str, Any], *, reading: bool = False
    ) -> None:
        self.folder, self._recipe = folder, recipe
        common = recipe.common(**facts)
        stated = folder / "recipe.json"
        before = self._read(stated) if stated.exists() else {}
        if different := _differences(before, common):
            raise ConfigError(
                f"{folder} holds cells of other settings or data ({different}). Give another "
                "--out, or delete that folder."
            )
        if not reading and set(common) - set(before):
            write_atomically(stated, (json.dumps(before | common, indent=1) + "\n").encode())
        for cell in cells_of(recipe):
            self.load(cell)

    def load(self, cell: Cell) -> dict[str, Any] | None:
        """What a finished cell found, or None."""
        path = self._path(cell)
        if not path.exists():
            return None
        found = self._read(path)
        if damage := _damage(found, cell, self._recipe.task):
            raise ConfigError(
                f"{path} is damaged ({damage}). Delete it and give the command again."
            )
        if different := _differences(found.get("settings", {}), self._settings(cell)):
            raise ConfigError(
                f"{path} was run with other settings ({different}). Give another --out, or "
                "delete the file to have it anew."
            )
        return found

    def save(self, cell: Cell, result: dict[str, Any]) -> dict[str, Any]:
        """Write a finished cell, whole or not at all."""
        whole = {"row": cell.row, "budget": cell.budget, "seed": cell.seed, **result}
        whole["settings"] = self._settings(cell)
        write_atomically(self._path(cell), (json.dumps(whole, indent=1) + "\n").encode())
        return whole

    def _settings(self, cell: Cell) -> dict[str, Any]:
        """What decides the figures of this cell; of the parent, the folder's facts tell."""
        if cell.budget == NO_LABEL:
            return {"model_sha256": load_card(cell.model).weights_sha256} if cell.model else {}
        if cell.row == DESCRIPTORS:
            return {"mpp": self._recipe.config(self._recipe.baseline, cell.budget).mpp}
        settings = self._recipe.config(cell.row, cell.budget, seed=cell.seed).to_dict()
        settings["parent"] = self._recipe.uses_parent(cell.row)
        return {key: value for key, value in settings.items() if key != "threads"}

    def _path(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.id}.json"

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} cannot be read: {error}. Delete it and give the command again."
            ) from error
        if not isinstance(found, dict):
            raise ConfigError(
                f"{path} must hold one JSON object. Delete it and give the command again."
            )
        return found


class _Finished(BaseModel):
    """What tables and figures read of a finished cell."""

    row: str
    budget: str
    seed: int
    labels: int
    train_seconds: float
    model: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)


class _Classification(_Finished):
    scores: dict[str, ClassScores]


class _Detection(_Finished):
    scores: dict[str, DetectionScores]
    precision_at_recall: dict[str, list[float | None]]


def _damage(found: dict[str, Any], cell: Cell, task: str) -> str:
    """What is wrong with the file of a finished cell, in words; empty for nothing."""
    try:
        if task == "classification":
            known: _Finished = _Classification.model_validate(found)
            parts, needed = [found["scores"]], "last"
        else:
            known = _Detection.model_validate(found)
            parts, needed = [found["scores"], found["precision_at_recall"]], "target"
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if not all(needed in part for part in parts):
        return f"it has no scores of {needed!r}"
    if cell.budget == NO_LABEL and not known.model:
        return "it does not name its model"
    if (known.row, known.budget, known.seed) != (cell.row, cell.budget, cell.seed):
        return f"it holds {known.row}, {known.budget}, draw {known.seed}"
    return ""


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The settings that differ, in words; one that either side does not know is none."""
    return ", ".join(
        f"the {key.removesuffix('_sha256').replace('_', ' ')} is another one"
        if key.endswith("_sha256")
        else f"{key} was {before[key]!r}, is {now[key]!r}"
        for key in sorted(set(before) & set(now))
        if before[key] != now[key]
    )
