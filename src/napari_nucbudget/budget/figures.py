"""The figures beside the tables."""

from __future__ import annotations

from typing import Any

from napari_nucbudget.budget.recipe import Recipe

__all__ = ["figures_of"]


def figures_of(recipe: Recipe, cells: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Figures by kind: their title and their SVG."""
    return {}
