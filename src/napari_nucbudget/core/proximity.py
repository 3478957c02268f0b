"""Equation 1: dots to a proximity map, and its local maxima back to dots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.spatial import cKDTree

__all__ = ["Peaks", "gaussian_radius", "local_maxima", "proximity_map", "smooth"]


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

    Floats keep their type; integers become float32, which would otherwise be
    rounded after each axis.
    """
    values = _as_floats(values)
    if sigma <= 0:
        return values
    radius = gaussian_radius(sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        values = correlate1d(values, kernel, axis=axis, mode="reflect")
    return values


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
    values = _as_floats(values)
    if np.isnan(values).any():
        values = np.where(np.isnan(values), -np.inf, values)
    padded = np.pad(values, 1, constant_values=-np.inf)
    centre = padded[1:-1, 1:-1]
    candidate = centre >= threshold
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if (dy, dx) == (0, 0) or np.hypot(dy, dx) > min_distance:
                continue
            shifted = padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]
            earlier = (dy, dx) < (0, 0)
            candidate &= (centre > shifted) if earlier else (centre >= shifted)
    rows, columns = np.nonzero(candidate)
    height = values[rows, columns]

    reach = int(np.floor(min_distance))
    wide = np.pad(values, max(reach, 1), constant_values=-np.inf)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if max(abs(dy), abs(dx)) <= 1 or dy * dy + dx * dx > min_distance * min_distance:
                continue
            other = wide[rows + reach + dy, columns + reach + dx]
            keep = (height > other) if (dy, dx) < (0, 0) else (height >= other)
            if not keep.all():
                rows, columns, height = rows[keep], columns[keep], height[keep]

    pixel = np.stack([rows, columns], axis=1).astype(np.int64)
    yx = pixel.astype(np.float64)
    for axis, (low, high) in enumerate((((0, 1), (2, 1)), ((1, 0), (1, 2)))):
        before = padded[rows + low[0], columns + low[1]].astype(np.float64)
        after = padded[rows + high[0], columns + high[1]].astype(np.float64)
        middle = height.astype(np.float64)
        bend = before - 2 * middle + after
        usable = np.isfinite(before) & np.isfinite(after) & (bend < 0)
        offset = np.zeros(len(rows))
        offset[usable] = 0.5 * (before[usable] - after[usable]) / bend[usable]
        yx[:, axis] += np.clip(offset, -0.5, 0.5)
    return Peaks(pixel, yx, height.astype(np.float32))


def _as_floats(values: NDArray[Any]) -> NDArray[Any]:
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float32)
