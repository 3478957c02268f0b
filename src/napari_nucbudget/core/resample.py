"""Rescaling to the model's pixel size, the same for a tile as for the whole image.

Every output pixel is a weighted sum of the same input pixels in the same
order, whichever window is asked for; so tiles fit together to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "grid_length", "resample"]


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

    `pixels` is (rows.window length, columns.window length, 3).
    """
    values = pixels.astype(np.float32)
    if rows.step != 1:
        index, weight = rows.weights()
        out = np.zeros((len(index), *values.shape[1:]), dtype=np.float32)
        for tap in range(rows.taps):
            out += weight[:, tap, None, None] * values[index[:, tap]]
        values = out
    if columns.step != 1:
        index, weight = columns.weights()
        out = np.zeros((values.shape[0], len(index), values.shape[2]), dtype=np.float32)
        for tap in range(columns.taps):
            out += weight[None, :, tap, None] * values[:, index[:, tap]]
        values = out
    return values
