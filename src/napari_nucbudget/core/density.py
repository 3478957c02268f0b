"""How many nuclei lie where, as a picture for views in which single ones cannot be told apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["bin_counts", "bin_size", "density_picture"]

BIN = 64
MOST_BINS = 2048
PALEST, STRONGEST = 0.12, 0.9


def bin_size(shape: tuple[int, int]) -> int:
    """Side of a bin in level-0 pixels: 64, doubled until an image has at most 2048 a side."""
    size = BIN
    while max(shape) > size * MOST_BINS:
        size *= 2
    return size


def bin_counts(nuclei: Nuclei, shape: tuple[int, int], size: int) -> NDArray[np.int32]:
    """(h, w, C + 1) nuclei per bin and class; the last is "no class".

    Tables of parts of an image add up to that of the whole.
    """
    height, width = -(-shape[0] // size), -(-shape[1] // size)
    classes = len(nuclei.classes) + 1
    row, column = np.clip((nuclei.yx + 0.5) // size, 0, (height - 1, width - 1)).astype(np.int64).T
    label = nuclei.label.astype(np.int64) % classes
    flat = (row * width + column) * classes + label
    counts = np.bincount(flat, minlength=height * width * classes)
    return counts.reshape(height, width, classes).astype(np.int32)


def density_picture(counts: NDArray[np.integer], colors: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(h, w, 4) RGBA: the mean colour of a bin's nuclei, opaque where they are dense.

    Opacity grows with the square root of the count up to the 99.5th percentile, so that
    one clump does not make all else invisible; empty bins are transparent.

    Parameters
    ----------
    counts : (h, w, C + 1)
    colors : (C + 1, 3), 0 .. 1
    """
    total = counts.sum(axis=-1)
    filled = total > 0
    picture = np.zeros((*total.shape, 4), np.uint8)
    if not filled.any():
        return picture
    mean = (counts[filled] @ colors) / total[filled, None]
    full = max(float(np.percentile(total[filled], 99.5)), 1.0)
    alpha = PALEST + (STRONGEST - PALEST) * np.sqrt(np.minimum(total[filled] / full, 1.0))
    picture[filled, :3] = np.round(mean * 255)
    picture[filled, 3] = np.round(alpha * 255)
    return picture
