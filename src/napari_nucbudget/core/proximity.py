"""Equation 1: dots to a proximity map, and its local maxima back to dots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_nucbudget.core.compilation import compiled
from napari_nucbudget.core.compiled_pixels import smooth_into
from napari_nucbudget.core.mirroring import mirrored
from napari_nucbudget.core.peak_pixels import peak_pixels

__all__ = ["NEIGHBOURS", "Peaks", "gaussian_radius", "local_maxima", "proximity_map", "smooth"]

BAND = 64
"""Rows that are smoothed together, so that they stay in the cache."""
NEIGHBOURS = 1.5
"""Least distance in pixels of two peaks: below it the slopes of one would be peaks of their own."""


@dataclass(frozen=True, eq=False)
class Peaks:
    """Local maxima of a map, in reading order of their pixels."""

    pixel: NDArray[np.int64]  # (N, 2) row and column of the highest pixel
    yx: NDArray[np.float64]  # (N, 2) refined position, at most half a pixel off
    height: NDArray[np.float32]  # (N,) value at the pixel


def proximity_map(
    yx: NDArray[np.floating[Any]], shape: tuple[int, int], *, alpha: float, d_max: float
) -> NDArray[np.float32]:
    """Nearness of every pixel to its nearest nucleus, in [0, 1].

    ``d = (exp(alpha (1 - D / d_max)) - 1) / (exp(alpha) - 1)`` where the
    distance D to the nearest centroid is at most `d_max`, else 0. Equation 1
    of the paper, divided by its own maximum: the raw range of 0 .. 19 at
    alpha = 3 makes training diverge.

    Parameters
    ----------
    yx : (N, 2) floats, pixels
        Centroids; those outside `shape` count too where they are near enough.
    shape : (int, int)
    alpha : float
        Steepness of the peaks.
    d_max : float, pixels
        Radius of the peaks.

    Returns
    -------
    (H, W) float32
    """
    nearest = np.full(shape, np.inf)
    if len(yx):
        tree = cKDTree(np.asarray(yx, dtype=np.float64))
        rows, columns = np.indices(shape)
        pixels = np.stack([rows.ravel(), columns.ravel()], axis=1)
        distance, _ = tree.query(pixels, distance_upper_bound=np.nextafter(d_max, np.inf))
        nearest = np.asarray(distance).reshape(shape)
    inside = nearest <= d_max
    height = np.zeros(shape)
    height[inside] = np.expm1(alpha * (1 - nearest[inside] / d_max)) / np.expm1(alpha)
    return height.astype(np.float32)


def gaussian_radius(sigma: float) -> int:
    """Reach in pixels of the kernel that `smooth` uses: four standard deviations."""
    return int(4.0 * sigma + 0.5)


def smooth(values: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Gaussian smoothing, mirrored at the borders; sigma 0 changes nothing.

    Floats keep their type, and are added in it; integers and half floats become
    float32. A pixel's value depends on its neighbours alone, to the last bit:
    it is the same in a tile as in the whole.

    Parameters
    ----------
    values : (H, W) floats or integers
    sigma : float, pixels
        Standard deviation.
    """
    values = _as_floats(values)
    if sigma <= 0 or not values.size:
        return values
    radius = gaussian_radius(sigma)
    kernel = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    kernel = (kernel / (2 * kernel[1:].sum() + kernel[0])).astype(values.dtype)
    height, width = values.shape
    out = np.empty_like(values, order="C")
    loop = compiled(smooth_into)
    if loop is not None:
        rows, columns = (mirrored(np.arange(-radius, n + radius), n) for n in values.shape)
        loop(np.ascontiguousarray(values), kernel, rows, columns, out)
        return out
    sides = np.r_[-radius:0, width : width + radius]
    framed = np.r_[0:radius, width + radius : width + 2 * radius]
    spare = np.empty((BAND, width), values.dtype)
    wide = np.empty((BAND, width + 2 * radius), values.dtype)
    for top in range(0, height, BAND):
        count = min(BAND, height - top)
        rows = values[mirrored(np.arange(top - radius, top + count + radius), height)]
        middle = wide[:count, radius : radius + width]
        _weighted(
            [rows[start : start + count] for start in range(2 * radius + 1)],
            kernel,
            spare[:count],
            out=middle,
        )
        wide[:count, framed] = middle[:, mirrored(sides, width)]
        _weighted(
            [wide[:count, start : start + width] for start in range(2 * radius + 1)],
            kernel,
            spare[:count],
            out=out[top : top + count],
        )
    return out


def _weighted(
    shifted: list[NDArray[Any]], kernel: NDArray[Any], spare: NDArray[Any], *, out: NDArray[Any]
) -> None:
    """Sum of an odd number of arrays into `out`, those i from the middle weighted by kernel[i]."""
    reach = len(kernel) - 1
    np.multiply(shifted[reach], kernel[0], out=out)
    for i in range(1, reach + 1):
        np.add(shifted[reach - i], shifted[reach + i], out=spare)
        np.multiply(spare, kernel[i], out=spare)
        np.add(out, spare, out=out)


def local_maxima(values: NDArray[Any], *, min_distance: float, threshold: float) -> Peaks:
    """Peaks of a map: their pixels, sub-pixel positions and heights.

    A pixel is a peak where its value is at least `threshold` and no pixel
    within `min_distance` is higher. Among equal ones the first in reading
    order wins, so that a plateau gives one peak (a few, where it is wider than
    `min_distance` and bent) and not one per pixel: 8-bit and bfloat16 maps are
    full of plateaus. The rule looks at the map alone, never at the order of
    search, and so gives the same peaks tile by tile. NaN is lower than any
    number: it is no peak, and hides none.

    Positions are refined by a parabola through the neighbours along each axis,
    by at most half a pixel.

    Parameters
    ----------
    values : (H, W) floats or integers
    min_distance : float, pixels
        Radius of the disc in which a peak is alone.
    threshold : float
    """
    values = np.ascontiguousarray(_as_floats(values))
    index = peak_pixels(values, min_distance=min_distance, threshold=threshold)
    rows, columns = np.divmod(index, max(1, values.shape[1]))
    height = values[rows, columns]
    y = rows + _towards_top(values, height, (rows - 1, columns), (rows + 1, columns))
    x = columns + _towards_top(values, height, (rows, columns - 1), (rows, columns + 1))
    pixel = np.stack([rows, columns], axis=1).astype(np.int64)
    return Peaks(pixel, np.stack([y, x], axis=1), height.astype(np.float32))


_Places = tuple[NDArray[np.intp], NDArray[np.intp]]


def _towards_top(
    values: NDArray[Any], height: NDArray[Any], before: _Places, after: _Places
) -> NDArray[np.float64]:
    """(N,) offsets, at most 0.5, to the top of the parabola through a pixel and two neighbours.

    0 where a neighbour is missing or no number.
    """
    low, high = _at(values, before), _at(values, after)
    bend = low - 2 * height.astype(np.float64) + high
    usable = np.isfinite(low) & np.isfinite(high) & (bend < 0)
    offset = np.zeros(len(height))
    offset[usable] = 0.5 * (low[usable] - high[usable]) / bend[usable]
    return np.clip(offset, -0.5, 0.5)


def _at(values: NDArray[Any], places: _Places) -> NDArray[np.float64]:
    """(N,) values at rows and columns; NaN outside."""
    rows, columns = places
    held = [np.clip(i, 0, n - 1) for i, n in zip(places, values.shape, strict=True)]
    found = values[held[0], held[1]].astype(np.float64)
    found[(held[0] != rows) | (held[1] != columns)] = np.nan
    return found


def _as_floats(values: NDArray[Any]) -> NDArray[Any]:
    wide = np.issubdtype(values.dtype, np.floating) and values.dtype.itemsize >= 4
    kind = values.dtype.newbyteorder("=") if wide else np.dtype(np.float32)
    return values.astype(kind, copy=False)
