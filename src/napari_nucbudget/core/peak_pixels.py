"""The pixels of a map's peaks: above their neighbours first, then in the whole disc.

By numpy, or by numba where it is installed (extra ``fast``), which is faster, gives
the same pixels, compiles on first use and keeps the result on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.compilation import compiled
from napari_nucbudget.core.compiled_peaks import lone_pixels

__all__ = ["compiled_peak_pixels", "peak_pixels", "plain_peak_pixels"]

BAND = 64
"""Rows whose neighbours are compared together, so that they stay in the cache."""
WINDOWS = 1 << 18
"""Pixels of the windows that are gathered together."""


def peak_pixels(values: NDArray[Any], *, min_distance: float, threshold: float) -> NDArray[np.intp]:
    """Flat indices of the peaks of a C-contiguous (H, W) map of floats, in reading order.

    See `napari_nucbudget.core.proximity.local_maxima` for the rule.
    """
    if compiled(lone_pixels) is None:
        return plain_peak_pixels(values, min_distance=min_distance, threshold=threshold)
    return compiled_peak_pixels(values, min_distance=min_distance, threshold=threshold)


def plain_peak_pixels(
    values: NDArray[Any], *, min_distance: float, threshold: float
) -> NDArray[np.intp]:
    """`peak_pixels` with numpy alone."""
    level = values.dtype.type(threshold)
    near = min_distance >= 1
    bands = [_candidates(values, top, level, near) for top in range(0, len(values), BAND)]
    index = np.concatenate([np.zeros(0, np.intp), *bands])
    reach = int(min_distance)
    chunk = max(1, WINDOWS // (2 * reach + 1) ** 2)
    alone = [
        _alone(values, index[first : first + chunk], min_distance)
        for first in range(0, len(index), chunk)
    ]
    peaks: NDArray[np.intp] = index[np.concatenate([np.zeros(0, np.bool_), *alone])]
    return peaks


def compiled_peak_pixels(
    values: NDArray[Any], *, min_distance: float, threshold: float
) -> NDArray[np.intp]:
    """`peak_pixels` with numba, which must be installed."""
    loop = compiled(lone_pixels)
    assert loop is not None
    level = values.dtype.type(threshold)
    if min_distance < 1:  # every pixel is alone in its disc
        return np.flatnonzero(values >= level)
    dy, dx = (axis - int(min_distance) for axis in np.nonzero(_disc(min_distance)))
    found: NDArray[np.intp] = loop(values, level, dy, dx)
    return found


def _disc(min_distance: float) -> NDArray[np.bool_]:
    """Which pixels of a square window lie within `min_distance` of its middle."""
    offset = np.arange(-int(min_distance), int(min_distance) + 1)
    disc: NDArray[np.bool_] = offset[:, None] ** 2 + offset**2 <= min_distance * min_distance
    return disc


def _candidates(values: NDArray[Any], top: int, level: Any, near: bool) -> NDArray[np.intp]:
    """Flat indices, in the rows from `top` on, of what exceeds those beside, above and below.

    "Below is not higher" is the negation of "below is higher": without NaN one comparison
    of two neighbours serves both.
    """
    first = max(0, top - 1)
    band = values[first : top + BAND + 1]
    highest = band.max(initial=-np.inf)
    if highest < level:
        return np.zeros(0, np.intp)
    if np.isnan(highest):
        band = np.where(np.isnan(band), -np.inf, band)
    candidate = band >= level
    if near:
        below_is_higher = band[1:] > band[:-1]
        candidate[1:] &= below_is_higher
        candidate[:-1] &= ~below_is_higher
        right_is_higher = band[:, 1:] > band[:, :-1]
        candidate[:, 1:] &= right_is_higher
        candidate[:, :-1] &= ~right_is_higher
    index: NDArray[np.intp] = np.flatnonzero(candidate[top - first :][:BAND])
    index += top * values.shape[1]
    return index


def _alone(values: NDArray[Any], index: NDArray[np.intp], min_distance: float) -> NDArray[np.bool_]:
    """Which candidates nothing exceeds within `min_distance`.

    Coordinates beyond the border are held at it: what is then compared lies nearer, and
    so within the distance too.
    """
    height, width = values.shape
    reach = int(min_distance)
    offset = np.arange(-reach, reach + 1)
    y, x = np.divmod(index, width)
    rows = np.clip(y[:, None] + offset, 0, height - 1) * width
    columns = np.clip(x[:, None] + offset, 0, width - 1)
    other = rows[:, :, None] + columns[:, None]  # (N, window, window)
    own = index[:, None, None]
    rival, height_of_own = values.ravel().take(other), values.ravel()[own]
    beaten = rival > height_of_own
    beaten |= (rival == height_of_own) & (other < own)
    beaten &= _disc(min_distance)
    alone: NDArray[np.bool_] = ~beaten.any(axis=(1, 2))
    return alone
