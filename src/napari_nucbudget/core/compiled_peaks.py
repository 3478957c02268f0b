"""The loops of the peak search that numba compiles.

Written for its compiler: the inner loops have neither a branch nor an index that could be
negative, so that they become vector instructions. Comparisons with NaN are false, which
is why they are negated: NaN hides nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["candidate_pixels", "lone_pixels"]


def candidate_pixels(values: NDArray[Any], level: Any, near: bool) -> NDArray[np.intp]:
    """Flat indices of pixels of at least `level`; with `near`, above those beside and over them.

    Parameters
    ----------
    values : (H, W) float32 or float64, C-contiguous
    level : float of the same type
    near : bool
        Whether the pixels beside, above and below are within the minimum distance.
    """
    height, width = values.shape
    words = np.zeros((width + 7) // 8, np.uint64)
    candidate = words.view(np.uint8)[:width]
    not_first, not_last = candidate[1:], candidate[:-1]
    index = np.empty(1024, np.intp)
    count = 0
    for y in range(height):
        row = values[y]
        for x in range(width):
            candidate[x] = row[x] >= level
        if near:
            if y > 0:
                above = values[y - 1]
                for x in range(width):
                    candidate[x] &= not above[x] >= row[x]
            if y < height - 1:
                below = values[y + 1]
                for x in range(width):
                    candidate[x] &= not below[x] > row[x]
            left, right = row[:-1], row[1:]
            for x in range(width - 1):
                not_first[x] &= not left[x] >= right[x]
            for x in range(width - 1):
                not_last[x] &= not right[x] > left[x]
        for word in range(len(words)):
            if words[word] == 0:
                continue
            for x in range(8 * word, min(8 * word + 8, width)):
                if not candidate[x]:
                    continue
                if count == len(index):
                    index = np.concatenate((index, np.empty(count, np.intp)))
                index[count] = y * width + x
                count += 1
    return index[:count]


def lone_pixels(
    values: NDArray[Any], index: NDArray[np.intp], dy: NDArray[np.intp], dx: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Which of the pixels at flat indices nothing exceeds, and nothing before them equals.

    Parameters
    ----------
    values : (H, W) float32 or float64, C-contiguous
    index : (N,) int
    dy, dx : (K,) int
        The disc around a pixel. Where it reaches beyond the border, the pixel at the border is
        compared, which is nearer, and so in the disc too.

    Returns
    -------
    (N,) bool
    """
    height, width = values.shape
    flat = values.ravel()
    reach = dy.max()
    step = dy * width + dx
    before, after = step[step < 0], step[step > 0]
    alone = np.ones(len(index), np.bool_)
    for n in range(len(index)):
        own = index[n]
        value = flat[own]
        y, x = own // width, own % width
        lone = True
        if reach <= y < height - reach and reach <= x < width - reach:
            for i in range(len(before)):
                lone &= not flat[own + before[i]] >= value
            for i in range(len(after)):
                lone &= not flat[own + after[i]] > value
        else:
            for i in range(len(dy)):
                v = min(max(y + dy[i], 0), height - 1)
                u = min(max(x + dx[i], 0), width - 1)
                rival = v * width + u
                lone &= not (flat[rival] > value or (flat[rival] == value and rival < own))
        alone[n] = lone
    return alone
