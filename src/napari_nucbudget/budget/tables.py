"""The markdown of an experiment: means over draws, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from napari_nucbudget.budget.cells import NO_LABEL
from napari_nucbudget.budget.recipe import DESCRIPTORS, Recipe
from napari_nucbudget.budget.statistics import mean_sd, paired_difference

__all__ = ["classification_text", "detection_text", "group_cells"]

Cell = dict[str, Any]
Groups = dict[tuple[str, str], dict[int, Cell]]
CHOICES = {"last": "fixed schedule", "validation": "best on validation"}


def group_cells(cells: Sequence[Cell]) -> Groups:
    """Cells by (budget, row) and draw, in the order in which they come."""
    groups: Groups = {}
    for cell in cells:
        groups.setdefault((cell["budget"], cell["row"]), {})[cell["seed"]] = cell
    return groups


def classification_text(
    recipe: Recipe,
    cells: Sequence[Cell],
    *,
    total: int,
    split: str,
    command: str,
    figures: dict[str, str],
) -> str:
    """Table 3: F1 by budget and method, and what choosing on validation labels brings."""
    groups = group_cells(cells)
    first = next(iter(next(iter(groups.values())).values()))["scores"]["last"]
    classes = list(first["class_f1"])
    head = [
        "labels",
        "method",
        "draws",
        "weighted F1",
        f"minus {recipe.baseline}",
        "weighted F1, best epoch on validation",
        f"minus {recipe.baseline}",
        "macro F1",
        *classes,
        "accuracy",
        "ECE",
        "training, s",
    ]
    lines = []
    for (budget, row), draws in _ordered(recipe, groups):
        base = groups.get((budget, recipe.baseline), {})
        some = next(iter(draws.values()))
        line = [_budget(budget, some["labels"]), _row(row, some), str(len(draws))]
        for choice in CHOICES:
            line.append(_mean(draws, _metric(choice, "weighted_f1")))
            same = row == recipe.baseline or not base
            line.append("" if same else _difference(draws, base, _metric(choice, "weighted_f1")))
        line += [_mean(draws, _metric("last", "macro_f1"))]
        line += [_mean(draws, _metric("last", "class_f1", name)) for name in classes]
        line += [_mean(draws, _metric("last", name)) for name in ("accuracy", "ece")]
        line.append(f"{mean_sd([c['train_seconds'] for c in draws.values()])[0]:.0f}")
        lines.append(line)
    views = "averaged over turns and shifts" if recipe.average else "each looked at once"
    held = next((c["validation_labels"] for c in cells if "validation_labels" in c), None)
    parts = [
        _opening(recipe, cells, total, command),
        f"Scored at the {first['nuclei']:,} dots with a class in the {first['images']} "
        f"{split} images, {views}, images at {first['mpp']:g} µm/px. "
        "Mean ± standard deviation over draws of the labels, each with a training seed of its "
        "own; all methods of a draw see the same labels. *minus "
        f"{recipe.baseline}*: mean of the differences draw by draw with its 95 % t interval. "
        "All columns but two are after a fixed schedule, the last weights kept, for which no "
        "label is needed besides the budget; the two show the epoch with the best weighted F1 "
        "on the validation images instead, as in the paper. ECE: expected calibration error; "
        "what is trained here has no temperature, for which validation labels would be needed.",
        _markdown(head, lines),
    ]
    if once := _once(recipe, groups):
        parts += [
            "## Each nucleus looked at once\n\nThe same weights (fixed schedule) without averaging "
            "over turns and shifts, of which the paper says nothing. The descriptors are the same "
            "for every turn.",
            _markdown(
                ["labels", "method", "draws", "weighted F1", f"minus {recipe.baseline}"], once
            ),
        ]
    if held is not None:
        parts += [
            f"## What choosing the epoch with {held:,} validation labels brings\n\n"
            "Weighted F1 at the best epoch on validation minus that of the last weights, same "
            "runs.",
            _markdown(["labels", "method", "draws", "difference"], _choosing(recipe, groups)),
        ]
    return "\n\n".join([*parts, *_pictures(figures)]) + "\n"


def _once(recipe: Recipe, groups: Groups) -> list[list[str]]:
    lines = []
    metric = _metric("once", "weighted_f1")
    for (budget, row), draws in _ordered(recipe, groups):
        if not all("once" in cell["scores"] for cell in draws.values()):
            continue
        some, base = next(iter(draws.values())), groups.get((budget, recipe.baseline), {})
        paired = "" if row == recipe.baseline or not base else _difference(draws, base, metric)
        label = _budget(budget, some["labels"])
        lines.append([label, _row(row, some), str(len(draws)), _mean(draws, metric), paired])
    return lines


def _choosing(recipe: Recipe, groups: Groups) -> list[list[str]]:
    lines = []
    for (budget, row), draws in _ordered(recipe, groups):
        both = [c["scores"] for c in draws.values() if "validation" in c["scores"]]
        if not both:
            continue
        found = _interval(
            [s["validation"]["weighted_f1"] for s in both],
            [s["last"]["weighted_f1"] for s in both],
        )
        label = _budget(budget, next(iter(draws.values()))["labels"])
        lines.append([label, row, str(len(both)), found])
    return lines


def detection_text(
    recipe: Recipe,
    cells: Sequence[Cell],
    *,
    total: int,
    split: str,
    command: str,
    figures: dict[str, str],
) -> str:
    """Table 2: precision, recall, F1 and AUPR by budget and method; and forgetting."""
    groups = group_cells(cells)
    first = next(iter(next(iter(groups.values())).values()))["scores"]["target"]
    head = ["fields", "method", "draws", "AUPR", f"minus {recipe.baseline}", "best F1"]
    head += ["F1", "precision", "recall", "training, s"]
    lines = []
    for (budget, row), draws in _ordered(recipe, groups):
        base = groups.get((budget, recipe.baseline), {})
        some = next(iter(draws.values()))
        aupr = _metric("target", "aupr")
        same = row == recipe.baseline or not base
        line = [_budget(budget, some["labels"]), _row(row, some), str(len(draws))]
        line += [_mean(draws, aupr), "" if same else _difference(draws, base, aupr)]
        line += [_mean(draws, _metric("target", "best", "f1"))]
        line += [_mean(draws, _metric("target", name)) for name in ("f1", "precision", "recall")]
        line.append(f"{mean_sd([c['train_seconds'] for c in draws.values()])[0]:.0f}")
        lines.append(line)
    parts = [
        _opening(recipe, cells, total, command),
        f"Scored on the {first['images']} {split} images with {first['nuclei']:,} dots, matching "
        f"radius {first['radius_um']:g} µm (the paper's 6 px), images at {first['mpp']:g} µm/px. "
        f"A field is a square of about {recipe.field_um:g} µm in which every nucleus is dotted; "
        "outside the drawn fields nothing is known. Mean ± standard deviation over draws of "
        "the fields, each with a training seed of its own; *minus "
        f"{recipe.baseline}*: mean of the differences draw by draw with its 95 % t interval. "
        "*best F1* is at the best threshold on these very images, as in the paper's table 2; "
        "*F1*, *precision* and *recall* are at the threshold chosen on the target's validation "
        "images, which chose the epoch too (the parent as it is: at its card's threshold).",
        _markdown(head, lines),
    ]
    if any("source" in cell["scores"] for cell in cells):
        lines = []
        for (budget, row), draws in _ordered(recipe, groups):
            if not all("source" in c["scores"] for c in draws.values()):
                continue
            some = next(iter(draws.values()))
            lines.append(
                [_budget(budget, some["labels"]), _row(row, some), str(len(draws))]
                + [_mean(draws, _metric("source", name)) for name in ("aupr", "f1")]
                + [_mean(draws, _metric("source", "best", "f1"))]
            )
        parts += [
            f"## What is forgotten: the {split} images of {recipe.source}, before and after",
            _markdown(["fields", "method", "draws", "AUPR", "F1", "best F1"], lines),
        ]
    return "\n\n".join([*parts, *_pictures(figures)]) + "\n"


def _opening(recipe: Recipe, cells: Sequence[Cell], total: int, command: str) -> str:
    missing = (
        "" if len(cells) == total else f"\n\n**{total - len(cells)} of {total} runs are missing.**"
    )
    return f"# {recipe.title}\n\nMade by `{command}`.{missing}"


def _pictures(figures: dict[str, str]) -> list[str]:
    return [f"![{title}]({name})" for title, name in figures.items()]


def _ordered(recipe: Recipe, groups: Groups) -> list[tuple[tuple[str, str], dict[int, Cell]]]:
    """Budgets in the recipe's order, no label first; in each the baseline first."""
    rows = [recipe.baseline, *recipe.methods, DESCRIPTORS]

    def place(key: tuple[str, str]) -> tuple[int, int, str]:
        budget, row = key
        at = -1 if budget == NO_LABEL else recipe.budgets.index(budget)
        return at, rows.index(row) if row in rows else -1, row

    known = [k for k in groups if k[0] == NO_LABEL or k[0] in recipe.budgets]
    return [(key, groups[key]) for key in sorted(known, key=place)]


def _budget(budget: str, count: int) -> str:
    if budget == NO_LABEL:
        return "0"
    return f"{budget} ({count:,})" if budget.endswith("%") else f"{count:,}"


def _row(row: str, cell: Cell) -> str:
    if cell["budget"] == NO_LABEL:
        return f"`{cell['model']}` as it is"
    return {DESCRIPTORS: "descriptors, logistic regression"}.get(row, row)


def _metric(*path: str) -> Callable[[Cell], float | None]:
    def read(cell: Cell) -> float | None:
        value: Any = cell["scores"]
        for key in path:
            if key not in value:
                return None
            value = value[key]
        return float(value)

    return read


def _mean(draws: dict[int, Cell], metric: Callable[[Cell], float | None]) -> str:
    values = [v for v in (metric(c) for c in draws.values()) if v is not None]
    if not values:
        return ""
    mean, sd = mean_sd(values)
    return f"{mean:.3f}" if math.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"


def _difference(
    draws: dict[int, Cell], base: dict[int, Cell], metric: Callable[[Cell], float | None]
) -> str:
    both = [(metric(draws[s]), metric(base[s])) for s in sorted(set(draws) & set(base))]
    pairs = [(a, b) for a, b in both if a is not None and b is not None]
    return _interval([a for a, _ in pairs], [b for _, b in pairs]) if pairs else ""


def _interval(one: Sequence[float], other: Sequence[float]) -> str:
    found = paired_difference(one, other)
    if math.isnan(found.low):
        return f"{found.mean:+.3f} (one draw)"
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f}; {found.draws} draws)"


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    def row(parts: list[str]) -> str:
        return "| " + " | ".join(part.replace("|", "\\|") for part in parts) + " |"

    return "\n".join([row(head), "|" + "---|" * len(head), *map(row, lines)])
