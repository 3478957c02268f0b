"""Which of very many points lie inside a drawn loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_nucbudget.errors import RegionError

__all__ = ["inside_polygon"]

CELLS = 512
"""Cells a side; a loop of a hand crosses about one in forty of them."""
FEW = 20_000
"""So many points are tested one by one: that is faster than cells."""


def inside_polygon(yx: ArrayLike, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Whether each point lies inside the polygon.

    Where the outline crosses itself, a place counts as inside if a way out of it crosses the
    outline an odd number of times.

    Parameters
    ----------
    yx : (N, 2) array
    polygon : (V, 2) array
        Corners in their order, three at least; the last one is joined to the first.

    Returns
    -------
    (N,) bool
        A point on the outline itself may count either way.

    Raises
    ------
    RegionError
        Where the polygon has fewer than three corners, or one that is not finite.
    """
    points = np.asarray(yx).reshape(-1, 2)
    corners = np.asarray(polygon, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise RegionError(f"A loop needs three corners at least, got {corners.shape}.")
    if not np.isfinite(corners).all():
        raise RegionError("A loop has a corner that is no number. Draw it again.")
    if len(points) <= FEW:
        return _one_by_one(points, corners)
    return _by_cells(points, corners)


def _one_by_one(points: NDArray[Any], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    from skimage.measure import points_in_poly  # here, since the command's help loads this module

    inside = points_in_poly(points.astype(np.float64), corners)  # type: ignore[no-untyped-call]
    return np.asarray(inside, np.bool_)


def _by_cells(points: NDArray[Any], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The same: points in a cell that the outline does not touch share one answer."""
    from scipy.ndimage import label

    low, high = corners.min(axis=0), corners.max(axis=0)
    side = np.maximum((high - low) / CELLS, 1e-9)
    crossed = _crossed(corners, low, side)
    patch, _ = label(~crossed)  # cells that are joined have one answer
    _, first = np.unique(patch, return_index=True)
    centres = np.stack(np.unravel_index(first, crossed.shape), axis=1) + 0.5
    of_patch = _one_by_one(low + centres * side, corners)
    answer, crossed = of_patch[patch.ravel()], crossed.ravel()
    (bottom, left), (top, right) = low.astype(points.dtype), high.astype(points.dtype)
    y, x = points[:, 0], points[:, 1]
    near = np.flatnonzero((y >= bottom) & (y <= top) & (x >= left) & (x <= right))
    row, column = (
        np.clip(((points[near, i] - low[i]) / side[i]).astype(np.int32), 0, CELLS - 1)
        for i in (0, 1)
    )
    cell = row * CELLS + column
    found = answer[cell]
    unsure = np.flatnonzero(crossed[cell])
    found[unsure] = _one_by_one(points[near[unsure]], corners)
    inside = np.zeros(len(points), np.bool_)
    inside[near] = found
    return inside


def _crossed(
    corners: NDArray[np.float64], low: NDArray[np.float64], side: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Cells that the outline may touch: those along it, and their neighbours."""
    start = (corners - low) / side
    end = np.roll(start, -1, axis=0)
    crossed = np.zeros((CELLS + 2, CELLS + 2), np.bool_)
    for a, b in zip(start, end, strict=True):
        steps = int(np.abs(b - a).max()) * 2 + 2
        along = a + np.linspace(0, 1, steps)[:, None] * (b - a)
        y, x = np.clip(along.astype(np.int32), 0, CELLS - 1).T
        for dy in range(3):
            for dx in range(3):
                crossed[y + dy, x + dx] = True
    return crossed[1:-1, 1:-1]
