"""Recipes of experiments: which methods learn from how many labels of which target."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from napari_nucbudget.core.sampling import budget_size
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.learn.methods import METHODS
from napari_nucbudget.learn.transfer import FINE_TUNE_DETECTOR, classifier_settings
from napari_nucbudget.registry import near_misses
from napari_nucbudget.types.training import TrainConfig

__all__ = [
    "DESCRIPTORS",
    "ZERO_LABEL",
    "Method",
    "Parent",
    "Quick",
    "Recipe",
    "file_name",
    "list_recipes",
    "read_recipe",
]

DESCRIPTORS = "descriptors"
ZERO_LABEL = "zero-label"


def _once_each(budgets: list[str]) -> list[str]:
    known = set()
    for budget in budgets:
        budget_size(budget, 100)
        value = (float(budget.removesuffix("%")), budget.endswith("%"))
        if value in known:
            raise ValueError(f"{budget!r} is there twice; give each budget once")
        known.add(value)
    return budgets


Budgets = Annotated[list[str], AfterValidator(_once_each)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Method(_Table):
    """One row of the table: a training method and what differs from its defaults."""

    method: str = ""
    """Name in `learn.methods`; empty: the row's own name."""
    parent: bool | None = None
    """Whether it starts from the recipe's parent; default: ``fine-tune`` does."""
    settings: dict[str, Any] = Field(default_factory=dict)
    at: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings that hold at one budget only."""


class Parent(_Table):
    """What fine-tuning starts from: a model by name or folder, or one to train first."""

    model: str = ""
    data: list[str] = Field(default_factory=list)
    method: str = "supervised"
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> Parent:
        if bool(self.model) == bool(self.data):
            raise ValueError("give either model, or data (and method, settings) to train one")
        return self


class Quick(_Table):
    """What ``--quick`` makes of the recipe: the same run, in minutes."""

    draws: int = Field(2, ge=1)
    budgets: Budgets = Field(default_factory=list)
    steps: int = Field(60, ge=1)


class Recipe(_Table):
    """One experiment on one target organ, see docs/experiments.md."""

    name: str = ""
    title: str
    task: Literal["classification", "detection"]
    target: str
    budgets: Budgets = Field(min_length=1)
    draws: int = Field(5, ge=1)
    """Draws of labels, each with a training seed of its own."""
    draws_at: dict[str, int] = Field(default_factory=dict)
    baseline: str
    """The row that the others are compared with, draw by draw."""
    settings: dict[str, Any] = Field(default_factory=dict)
    methods: dict[str, Method] = Field(min_length=1)
    parent: Parent | None = None
    average: bool = True
    """Classification: whether test nuclei are looked at in 40 views, as in use, or once."""
    descriptors: bool = False
    """Whether handcrafted descriptors with logistic regression are a row."""
    zero_label: list[str] = Field(default_factory=list)
    """Further models that are scored on the target as they are."""
    source: str = ""
    """Detection: data set of the parent, on whose test images forgetting is measured."""
    field_um: float = Field(70.0, gt=0)
    """Detection: side of the fields that a budget is counted in."""
    quick: Quick = Field(default_factory=lambda: Quick.model_validate({}))

    def uses_parent(self, row: str) -> bool:
        """Whether a row starts from the parent."""
        method = self.methods[row]
        return self.method_of(row) == "fine-tune" if method.parent is None else method.parent

    def method_of(self, row: str) -> str:
        """Name of a row's training method."""
        return self.methods[row].method or row

    def draws_of(self, budget: str) -> int:
        return min(self.draws_at.get(budget, self.draws), self.draws)

    def config(self, row: str, budget: str, *, seed: int = 0) -> TrainConfig:
        """Settings of one run: the method's defaults, then recipe, row and budget."""
        method = self.methods[row]
        chosen = self.settings | method.settings | method.at.get(budget, {})
        name, parent = self.method_of(row), self.uses_parent(row)
        return _config(self.task, name, {**chosen, "seed": seed}, parent=parent)

    def parent_config(self) -> TrainConfig:
        """Settings of the parent that the recipe trains; its own organ has labels to choose by."""
        assert self.parent is not None
        chosen = {"validation": "paper", **self.parent.settings}
        return _config(self.task, self.parent.method, chosen, parent=False)

    def quickened(self) -> Recipe:
        """The same experiment with few draws and short schedules."""
        short = {"steps": self.quick.steps, "steps_per_epoch": max(1, self.quick.steps // 3)}
        methods = {
            name: row.model_copy(update={"settings": row.settings | short, "at": {}})
            for name, row in self.methods.items()
        }
        parent = self.parent
        if parent is not None and parent.data:
            parent = parent.model_copy(update={"settings": parent.settings | short})
        return self.model_copy(
            update={
                "name": f"{self.name}-quick",
                "title": f"{self.title} (quick run: short schedules, figures mean nothing)",
                "budgets": self.quick.budgets or self.budgets,
                "draws": self.quick.draws,
                "methods": methods,
                "parent": parent,
            }
        )

    def common(self, **facts: Any) -> dict[str, Any]:
        """What decides the figures of all cells alike, as JSON holds it."""
        whole = self.model_dump(mode="json")
        keys = ("name", "task", "target", "parent", "source", "field_um", "average")
        return {key: whole[key] for key in keys} | facts

    def check(self) -> Recipe:
        """The recipe, where all that it names exists and fits together.

        Raises
        ------
        UnknownNameError, ConfigError
        """
        if self.baseline not in self.methods:
            raise ConfigError(
                f"{self.name}: the baseline {self.baseline!r} is no row of the recipe. "
                f"{near_misses(self.baseline, list(self.methods))}"
            )
        if unknown := set(self.draws_at) - set(self.budgets):
            raise ConfigError(f"{self.name}: draws_at names budgets that it lacks: {unknown}.")
        self._check_names()
        for row, method in self.methods.items():
            self._check_method(self.method_of(row), f"the row {row!r}", self.uses_parent(row))
            if self.uses_parent(row) and self.parent is None:
                raise ConfigError(f"{self.name}: the row {row!r} needs a [parent] table.")
            if unknown := set(method.at) - set(self.budgets):
                raise ConfigError(
                    f"{self.name}: [methods.{row}.at] names budgets that it lacks: {unknown}."
                )
            for budget in self.budgets:
                self.config(row, budget)
        if self.parent is not None and self.parent.data:
            self._check_method(self.parent.method, "[parent]", False)
            self.parent_config()
        return self

    def _check_names(self) -> None:
        """Refuse rows that could not be told apart in the tables or by their files."""
        for row in self.methods:
            if row in (DESCRIPTORS, ZERO_LABEL):
                raise ConfigError(
                    f"{self.name}: {row!r} is the name of a row without training. Give the row "
                    'another name, and its method as method = "...".'
                )
            if not row.strip() or not row.isprintable():
                raise ConfigError(
                    f"{self.name}: {row!r} cannot be the name of a row; choose one that can be "
                    "printed on a line."
                )
        known: dict[str, str] = {}
        for row in [*self.methods, *(f"{ZERO_LABEL} {model}" for model in self.zero_label)]:
            file = file_name(row).casefold()  # as Windows and macOS tell files apart
            if file in known:
                raise ConfigError(
                    f"{self.name}: the rows {known[file]!r} and {row!r} would share their files; "
                    "let them differ in letters or digits, not in case or other signs alone."
                )
            known[file] = row

    def _check_method(self, method: str, where: str, parent: bool) -> None:
        """Refuse a method of another task, or one that cannot do with (or without) a parent."""
        kind = METHODS[method]
        if kind.task != self.task:
            raise ConfigError(
                f"{self.name}, {where}: the method {method!r} is for {kind.task}, "
                f"the recipe for {self.task}."
            )
        if kind.needs_parent and not parent:
            raise ConfigError(
                f"{self.name}, {where}: the method {method!r} needs a parent; leave out "
                "parent = false, or choose another method."
            )
        if parent and self.task == "classification" and not kind.needs_parent:
            raise ConfigError(
                f"{self.name}, {where}: the method {method!r} starts afresh and takes no parent; "
                "leave out parent = true, or choose 'fine-tune'."
            )


def file_name(name: str) -> str:
    """The name with everything but letters, digits, dots and hyphens as underscores."""
    return re.sub(r"[^\w.-]", "_", name)


def _config(task: str, method: str, chosen: dict[str, Any], *, parent: bool) -> TrainConfig:
    """The method's defaults, and what the recipe chooses instead."""
    if task == "classification":
        return TrainConfig.from_dict(classifier_settings(method, chosen))
    defaults = FINE_TUNE_DETECTOR if parent else {}
    return TrainConfig.from_dict({**defaults, **chosen, "method": method})


def list_recipes() -> dict[str, Path]:
    """Names of the shipped recipes and their files."""
    root = Path(str(files("napari_nucbudget.budget") / "recipes"))
    return {file.stem: file for file in sorted(root.glob("*.toml"))}


def read_recipe(name: str) -> Recipe:
    """Recipe of a shipped name, or of a TOML file.

    Raises
    ------
    ConfigError
        Where there is none, or it is not a recipe; the message says which key is wrong.
    """
    shipped = list_recipes()
    path = shipped.get(name) or Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"There is no recipe {name!r}, nor such a file. " + near_misses(name, shipped)
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    try:
        recipe = Recipe.model_validate({**values, "name": path.stem})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors()[:5]
        )
        raise ConfigError(f"{path} is not a recipe: {problems}.") from error
    return recipe.check()
