"""Smoothing and rescaling as loops that numba compiles, without holding the interpreter's lock.

The sums are those of `proximity.smooth` and `resample.resample`, in the same order, and so
the same to the bit. Those take their steps in numpy, thousands of short ones a tile: one
thread does well with them, sixteen wait for each other's lock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["resample_into", "smooth_into"]


def smooth_into(
    values: NDArray[Any],
    kernel: NDArray[Any],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    out: NDArray[Any],
) -> None:
    """(H, W) `values` weighted along both axes into `out`.

    `kernel` holds the weights from the middle outwards. `rows` and `columns` say which one
    stands for each from one reach before the first to one after the last.
    """
    height, width = values.shape
    reach = len(kernel) - 1
    line = np.empty(width, values.dtype)
    wide = np.empty(width + 2 * reach, values.dtype)
    for y in range(height):
        own = values[rows[y + reach]]
        for x in range(width):
            line[x] = own[x] * kernel[0]
        for i in range(1, reach + 1):
            above, below = values[rows[y + reach - i]], values[rows[y + reach + i]]
            for x in range(width):
                line[x] += (above[x] + below[x]) * kernel[i]
        for x in range(len(wide)):
            wide[x] = line[columns[x]]
        row = out[y]
        middle = wide[reach : reach + width]
        for x in range(width):
            row[x] = middle[x] * kernel[0]
        for i in range(1, reach + 1):
            left = wide[reach - i : reach - i + width]
            right = wide[reach + i : reach + i + width]
            for x in range(width):
                row[x] += (left[x] + right[x]) * kernel[i]


def resample_into(
    pixels: NDArray[Any],
    row_starts: NDArray[np.integer],
    row_index: NDArray[np.integer],
    row_weight: NDArray[np.float32],
    column_starts: NDArray[np.integer],
    column_index: NDArray[np.integer],
    column_weight: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """(h, w * 3) `pixels` to (H, W * 3) `out`: sparse matrices' rows, as their three arrays."""
    line = np.empty(pixels.shape[1], np.float32)
    for y in range(out.shape[0]):
        line[:] = 0
        for n in range(row_starts[y], row_starts[y + 1]):
            weight, source = row_weight[n], pixels[row_index[n]]
            for x in range(len(line)):
                line[x] += weight * np.float32(source[x])
        row = out[y]
        for x in range(len(column_starts) - 1):
            red = green = blue = np.float32(0)
            for n in range(column_starts[x], column_starts[x + 1]):
                weight, first = column_weight[n], 3 * column_index[n]
                red += weight * line[first]
                green += weight * line[first + 1]
                blue += weight * line[first + 2]
            row[3 * x], row[3 * x + 1], row[3 * x + 2] = red, green, blue
