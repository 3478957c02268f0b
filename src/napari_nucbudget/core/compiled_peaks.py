"""The loops of the peak search that numba compiles.

Written for its compiler: the inner loops have neither a branch nor an index that could be
negative, so that they become vector instructions. Comparisons with NaN are false, which
is why they are negated: NaN hides nothing. One function: any that it called would have
to be compiled too, where numba is imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["lone_pixels"]

BAND = 64
"""Rows that are searched before their discs are, so that those are still in the cache."""


def lone_pixels(
    values: NDArray[Any], level: Any, dy: NDArray[np.intp], dx: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Flat indices of pixels that nothing in the disc exceeds, and nothing before them equals.

    Parameters
    ----------
    values : (H, W) float32 or float64, C-contiguous
    level : float of the same type
        The lowest value of a peak.
    dy, dx : (K,) int
        The disc around a pixel, the four beside, above and below it included. Where it reaches
        beyond the border, the pixel at the border is compared, which is nearer, and so in the
        disc too.
    """
    height, width = values.shape
    flat = values.ravel()
    reach = dy.max()
    corner = reach * width + reach  # counted from there, steps to the disc's pixels are unsigned
    step = dy * width + dx
    before = (corner + step[step < 0]).astype(np.uint64)
    after = (corner + step[step > 0]).astype(np.uint64)

    words = np.zeros((width + 7) // 8, np.uint64)
    candidate = words.view(np.uint8)
    inner = candidate[1 : width - 1]
    filled = np.empty(len(words), np.intp)
    beyond = np.full(width, np.nan, values.dtype)
    index = np.empty(1024 + len(candidate), np.intp)
    peaks = 0
    for top in range(0, height, BAND):
        end = peaks  # behind the peaks come the candidates: nothing beside, above, below is higher
        for y in range(top, min(top + BAND, height)):
            row = values[y]
            above = values[y - 1][1:-1] if y > 0 else beyond[1:-1]
            below = values[y + 1][1:-1] if y < height - 1 else beyond[1:-1]
            left, middle, right = row[:-2], row[1:-1], row[2:]
            for x in range(width - 2):
                inner[x] = (
                    (middle[x] >= level)
                    & (not above[x] >= middle[x])
                    & (not left[x] >= middle[x])
                    & (not right[x] > middle[x])
                    & (not below[x] > middle[x])
                )
            for x in range(0, width, max(1, width - 1)):
                candidate[x] = row[x] >= level
            if end + len(candidate) > len(index):
                index = np.concatenate((index, np.empty(len(index), np.intp)))
            # Few words are filled: list them, then their candidates. What is listed is kept only
            # where the count moves on: a branch would often be guessed wrong.
            count = 0
            for word in range(len(words)):
                filled[count] = word
                count += words[word] != 0
            for word in filled[:count]:
                for x in range(8 * word, 8 * word + 8):
                    index[end] = y * width + x
                    end += candidate[x]
        # Those of them that are alone in their discs move up to the peaks.
        for own in index[peaks:end]:
            value = flat[own]
            y, x = own // width, own % width
            lone = True
            if reach <= y < height - reach and reach <= x < width - reach:
                first = np.uint64(own - corner)
                for i in range(len(before)):
                    lone &= not flat[first + before[i]] >= value
                for i in range(len(after)):
                    lone &= not flat[first + after[i]] > value
            else:
                for i in range(len(dy)):
                    v = min(max(y + dy[i], 0), height - 1)
                    u = min(max(x + dx[i], 0), width - 1)
                    rival = v * width + u
                    if flat[rival] > value or (flat[rival] == value and rival < own):
                        lone = False
                        break
            index[peaks] = own
            peaks += lone
    return index[:peaks]
