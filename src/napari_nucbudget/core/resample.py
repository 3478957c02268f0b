"""Rescaling to the model's pixel size, the same for a tile as for the whole image.

Every output pixel is a weighted sum of the same input pixels in the same
order, whichever window is asked for; so tiles fit together to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from napari_nucbudget.core.compilation import compiled
from napari_nucbudget.core.compiled_pixels import resample_into

__all__ = ["Axis", "grid_length", "resample"]

BAND = 64
"""Output rows that are computed together."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Which input pixels make the output pixels ``start .. stop`` of one axis.

    A triangle kernel of half-width ``max(1, step)`` input pixels: bilinear
    when enlarging, with the low-pass that avoids aliasing when shrinking.
    Output pixel i has its centre at input position ``(i + 0.5) * step - 0.5``.

    Parameters
    ----------
    step : float
        Input pixels per output pixel.
    length : int
        Length of the input axis; beyond it the border pixel is repeated.
    start, stop : int
        Wanted output pixels.
    """

    step: float
    length: int
    start: int
    stop: int

    @property
    def taps(self) -> int:
        return 1 if self.step == 1 else 2 * math.ceil(max(1.0, self.step)) + 1

    def _first(self) -> NDArray[np.int64]:
        centre = (np.arange(self.start, self.stop) + 0.5) * self.step - 0.5
        return np.round(centre).astype(np.int64) - self.taps // 2

    def window(self) -> tuple[int, int]:
        """First and last-plus-one input pixel that is needed."""
        first = self._first()
        low = int(np.clip(first.min(), 0, self.length - 1))
        high = int(np.clip(first.max() + self.taps - 1, 0, self.length - 1))
        return low, high + 1

    def weights(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(n, taps) input indices, relative to `window`, and their weights."""
        first = self._first()
        index = first[:, None] + np.arange(self.taps)
        centre = (np.arange(self.start, self.stop) + 0.5) * self.step - 0.5
        weight = np.maximum(0, 1 - np.abs(index - centre[:, None]) / max(1.0, self.step))
        weight /= weight.sum(axis=1, keepdims=True)
        low = self.window()[0]
        return np.clip(index, 0, self.length - 1) - low, weight.astype(np.float32)


def grid_length(length: int, step: float) -> int:
    """Number of output pixels for `length` input pixels, at least 1."""
    return max(1, round(length / step))


def resample(pixels: NDArray[np.uint8], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    """(h, w, 3) float32 in 0 .. 255 from the input window that the axes name.

    `pixels` is (rows.window length, columns.window length, 3). The sums are those of a
    sparse matrix's few entries a row, in the order of the input pixels; bands of rows stay
    in the cache from the first axis to the second.
    """
    if rows.step == 1 and columns.step == 1:
        places = [axis.weights()[0][:, 0] for axis in (rows, columns)]
        if all(len(at) == n for at, n in zip(places, pixels.shape[:2], strict=True)):
            return pixels.astype(np.float32)  # nothing beyond the border
        return pixels[np.ix_(*places)].astype(np.float32)
    down, across = _matrix(rows, pixels.shape[0]), _matrix(columns, pixels.shape[1])
    height, width = down.shape[0], across.shape[0]
    out = np.empty((height, width, 3), dtype=np.float32)
    loop = compiled(resample_into)
    if loop is not None:
        flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
        axes = (part for m in (down, across) for part in (m.indptr, m.indices, m.data))
        loop(flat, *axes, out.reshape(height, -1))
        return out
    for top in range(0, height, BAND):
        part = down[top : top + BAND]
        low, high = int(part.indices.min()), int(part.indices.max()) + 1
        lines = pixels[low:high].reshape(high - low, -1).astype(np.float32)
        lines = part[:, low:high] @ lines  # (band, w * 3)
        count = len(lines)
        turned = lines.reshape(count, -1, 3).transpose(1, 0, 2).reshape(-1, count * 3)
        turned = across @ turned  # (width, band * 3)
        out[top : top + count] = turned.reshape(width, count, 3).transpose(1, 0, 2)
    return out


def _matrix(axis: Axis, length: int) -> csr_array:
    """(outputs, inputs) weights; what counts nothing is left out."""
    index, weight = axis.weights()
    counts = weight > 0
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
    return csr_array((weight[counts], index[counts], starts), shape=(len(index), length))
