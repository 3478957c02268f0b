"""Turning, mirroring and staining a crop anew, its target along with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.stain import jitter_stain

__all__ = ["augment_pixels", "augment_strongly", "dihedral"]

NOISE = 8.0
"""Standard deviation of a strong view's noise, grey levels of 255."""


def dihedral(array: NDArray[Any], which: int) -> NDArray[Any]:
    """One of the eight turns and mirrorings of the first two axes (section 3.1).

    0 .. 3 turn by as many right angles; 4 .. 7 mirror the columns after that.
    """
    turned = np.rot90(array, which % 4)
    return turned[:, ::-1] if which >= 4 else turned


def augment_pixels(
    rgb: NDArray[Any], rng: np.random.Generator, *, stain: float, brightness: float
) -> NDArray[np.float32]:
    """(h, w, 3) float32 in 0 .. 255 with other stain amounts and exposure.

    `brightness` scales all channels alike by 1 ± its value, as lamp and
    camera do.
    """
    values = jitter_stain(rgb, rng, strength=stain)
    if brightness > 0:
        values = np.clip(values * (1 + rng.uniform(-brightness, brightness)), 0, 255)
    return values.astype(np.float32)


def augment_strongly(
    rgb: NDArray[Any], rng: np.random.Generator, *, jitter: float
) -> NDArray[np.float32]:
    """(h, w, 3) float32 in 0 .. 255, hard to recognise but of the same class.

    Stain amounts change by 1 ± `jitter` and exposure by half of that; noise is
    added, and a square of up to a third of the side is filled with the mean
    colour.
    """
    values = augment_pixels(rgb, rng, stain=jitter, brightness=jitter / 2)
    values += NOISE * rng.standard_normal(values.shape, dtype=np.float32)
    height, width = values.shape[:2]
    side = int(rng.integers(1, max(2, min(height, width) // 3 + 1)))
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    values[y : y + side, x : x + side] = values.mean((0, 1))
    clipped: NDArray[np.float32] = np.clip(values, 0, 255)
    return clipped
