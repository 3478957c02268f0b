"""How nuclei look: solid what a person set, hollow what a model proposed, coloured by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.classes import ClassScheme
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

__all__ = ["UNLABELLED_COLOR", "DotStyle", "class_colors", "dot_style"]

UNLABELLED_COLOR = "#ffffff"
BLACK = 0.0
SOLID_BORDER, HOLLOW_BORDER = 0.15, 0.34
"""Shares of a dot's width."""
FAINTEST = 0.25


@dataclass(frozen=True, eq=False)
class DotStyle:
    """Colours (N, 4) float32 in 0 .. 1 and border widths (N,) as shares of the dot."""

    face: NDArray[np.float32]
    border: NDArray[np.float32]
    border_width: NDArray[np.float32]


def class_colors(classes: ClassScheme) -> NDArray[np.float32]:
    """(C + 1, 3) in 0 .. 1; the last is "no class", so that label -1 finds it."""
    names = [*(c.color for c in classes.classes), UNLABELLED_COLOR]
    return np.array([_rgb(name) for name in names], np.float32)


def _rgb(color: str) -> tuple[float, ...]:
    text = color.lstrip("#")
    return tuple(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))


def dot_style(nuclei: Nuclei, *, by_score: bool = False) -> DotStyle:
    """Style of every nucleus; with `by_score` unsure proposals are faint."""
    color = class_colors(nuclei.classes)[nuclei.label]
    human = nuclei.origin == HUMAN
    seen = np.ones(len(nuclei), np.float32)
    if by_score:
        seen = np.where(human, 1, FAINTEST + (1 - FAINTEST) * nuclei.score).astype(np.float32)
    face = np.column_stack([color, human.astype(np.float32)])
    border = np.where(human[:, None], np.float32(BLACK), color)
    return DotStyle(
        face=face.astype(np.float32),
        border=np.column_stack([border, seen]).astype(np.float32),
        border_width=np.where(human, SOLID_BORDER, HOLLOW_BORDER).astype(np.float32),
    )
