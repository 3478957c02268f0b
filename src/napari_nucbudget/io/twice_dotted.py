"""What becomes of a nucleus that was dotted twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["CONTRADICTION_UM", "Twice", "one_dot_each", "remarks"]

CONTRADICTION_UM = 0.5
"""Dots of two classes at most this far apart contradict each other: no two nuclei lie so close."""


@dataclass(frozen=True)
class Twice:
    """Places (x, y) of dots that were listed twice, and of classes that contradict."""

    image: str
    repeated: tuple[tuple[float, float], ...] = ()
    contradicting: tuple[tuple[float, float], ...] = ()


def one_dot_each(nuclei: Nuclei, *, mpp: float, image: str) -> tuple[Nuclei, Twice]:
    """The nuclei with exact repetitions counted once, and contradicting classes taken away.

    A dot at the very place of an earlier one is left out; a class that one of
    them has holds for both. Dots of different classes at one place, or at most
    `CONTRADICTION_UM` apart, lose their class: a nucleus is there, but which
    kind is not known. Dots close together that agree are left as they are.

    Parameters
    ----------
    nuclei : Nuclei
        Level-0 pixels.
    mpp : float
        µm per level-0 pixel.
    image : str
        For the report.
    """
    _, first, which = np.unique(nuclei.yx, axis=0, return_index=True, return_inverse=True)
    highest = np.full(len(first), -1, dtype=np.int64)
    lowest = np.full(len(first), len(nuclei.classes), dtype=np.int64)
    known = nuclei.label >= 0
    np.maximum.at(highest, which[known], nuclei.label[known])
    np.minimum.at(lowest, which[known], nuclei.label[known])
    contradicts = highest > lowest
    merged = highest[which]  # a class that any dot at the place has
    place_of = np.argsort(first)  # places in the order of their first dots
    kept = first[place_of]
    label = merged[kept].astype(np.int16)
    wrong = contradicts[place_of]
    if len(kept) > 1:
        pairs = cKDTree(nuclei.yx[kept] * mpp).query_pairs(CONTRADICTION_UM, output_type="ndarray")
        a, b = label[pairs[:, 0]], label[pairs[:, 1]]
        wrong[pairs[(a != b) & (a >= 0) & (b >= 0)].ravel()] = True
    label[wrong] = -1
    repeated = np.setdiff1d(np.arange(len(nuclei)), kept)
    alone = replace(nuclei.select(kept), label=label, id=np.arange(len(kept), dtype=np.int64))
    return alone, Twice(image, _places(nuclei.select(repeated)), _places(alone.select(wrong)))


def _places(nuclei: Nuclei) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for y, x in nuclei.yx)


def remarks(found: Sequence[Twice]) -> list[str]:
    """A sentence for each kind of finding that there is, with the first five places."""
    lines = []
    repeated = [(t.image, place) for t in found for place in t.repeated]
    if repeated:
        lines.append(f"{len(repeated)} dots are listed twice and count once: {_some(repeated)}.")
    wrong = [(t.image, place) for t in found for place in t.contradicting]
    if wrong:
        lines.append(
            f"{len(wrong)} nuclei have dots of different classes within {CONTRADICTION_UM:g} µm "
            f"and count as without class: {_some(wrong)}. Decide which class is right."
        )
    return lines


def _some(places: list[tuple[str, tuple[float, float]]]) -> str:
    texts = [f"{image} at x={x:g}, y={y:g}" for image, (x, y) in places[:5]]
    return "; ".join(texts + (["..."] if len(places) > 5 else []))
