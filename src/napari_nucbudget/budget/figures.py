"""The figures beside the tables: a score against the budget, and precision against recall."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from napari_nucbudget.budget.cells import NO_LABEL
from napari_nucbudget.budget.recipe import Recipe
from napari_nucbudget.budget.statistics import mean_sd
from napari_nucbudget.budget.svg import Panel, Series, chart
from napari_nucbudget.budget.tables import group_cells

__all__ = ["figures_of"]

Cell = dict[str, Any]


def figures_of(recipe: Recipe, cells: list[Cell]) -> dict[str, tuple[str, str]]:
    """Figures by kind: their title and their SVG; only those that there are cells for."""
    drawn = {"budget": _against_budget(recipe, cells)}
    if recipe.task == "detection":
        drawn["curves"] = _precision_recall(recipe, cells)
    return {kind: figure for kind, figure in drawn.items() if figure is not None}


def _against_budget(recipe: Recipe, cells: list[Cell]) -> tuple[str, str] | None:
    """Mean and standard deviation of the main score by budget; without labels as dashes."""
    where, key, name, unit = {
        "classification": ("last", "weighted_f1", "weighted F1", "labels"),
        "detection": ("target", "aupr", "AUPR", "fields"),
    }[recipe.task]
    groups = group_cells(cells)
    amounts: dict[str, float] = {}
    values: dict[str, list[tuple[float, float, float]]] = {}
    flat: dict[str, float] = {}
    for (budget, row), draws in groups.items():
        mean, sd = mean_sd([cell["scores"][where][key] for cell in draws.values()])
        if budget == NO_LABEL:
            model = next(iter(draws.values()))["model"]
            flat[f"{model}, no label"] = mean
        elif budget in recipe.budgets:
            amounts[budget] = next(iter(draws.values()))["labels"]
            values.setdefault(row, []).append((amounts[budget], mean, sd))
    if not amounts:
        return None
    x_range = (min(amounts.values()) / 1.3, max(amounts.values()) * 1.3)
    series = []
    for i, (row, points) in enumerate(values.items()):
        points.sort()
        aside = (x_range[1] / x_range[0]) ** (0.015 * (i - (len(values) - 1) / 2))
        bars = [0.0 if math.isnan(sd) else sd for _, _, sd in points]
        series.append(Series(row, [(x * aside, y) for x, y, _ in points], bars))
    for model, mean in flat.items():
        series.append(
            Series(model, [(x_range[0], mean), (x_range[1], mean)], marks=False, dashed=True)
        )
    reach = [
        y + s * b
        for one in series
        for (_, y), b in zip(one.points, one.bars or [0.0] * len(one.points), strict=True)
        for s in (-1, 1)
    ]
    low = min(0.95, max(0.0, math.floor(min(reach) * 20) / 20))
    title = f"{name} on {recipe.target}"
    panel = Panel(
        title,
        f"{unit} (logarithmic)",
        name,
        series,
        x_range,
        (low, min(1.0, math.ceil(max(reach) * 20 + 0.01) / 20)),
        ticks=[(amount, f"{amount:,.0f}") for amount in sorted(set(amounts.values()))],
        log_x=True,
    )
    return title, chart([panel], title=title)


def _precision_recall(recipe: Recipe, cells: list[Cell]) -> tuple[str, str] | None:
    """Figure 3: precision at each recall that every draw reaches, mean over draws, by budget."""
    groups = group_cells(cells)
    untrained = [
        Series(f"{c['model']}, no label", _mean_curve([c]), marks=False, dashed=True)
        for c in cells
        if c["budget"] == NO_LABEL
    ]
    panels = []
    for budget in recipe.budgets:
        rows = [row for row in recipe.methods if (budget, row) in groups]
        if not rows:
            continue
        lines = [
            Series(row, _mean_curve(list(groups[budget, row].values())), marks=False)
            for row in rows
        ]
        amount = next(iter(groups[budget, rows[0]].values()))["labels"]
        head = f"{budget}: {amount} field{'s' * (amount != 1)}"
        panels.append(
            Panel(head, "recall", "precision", [*lines, *untrained], (0.0, 1.0), (0.0, 1.0))
        )
    title = f"Precision and recall on {recipe.target}, mean over draws"
    return (title, chart(panels, title=title)) if panels else None


def _mean_curve(cells: list[Cell]) -> list[tuple[float, float]]:
    curves = [cell["precision_at_recall"]["target"] for cell in cells]
    recall = np.linspace(0, 1, len(curves[0]))
    return [
        (float(r), float(np.mean(precision)))
        for r, precision in zip(recall, zip(*curves, strict=True), strict=True)
        if all(p is not None for p in precision)
    ]
