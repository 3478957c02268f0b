"""Cutting a grid into tiles: disjoint cores, overlapping reads. Geometry only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.image import Region

__all__ = ["Tile", "rows_by_square", "tiles"]


@dataclass(frozen=True)
class Tile:
    """A window that owns what lies in `core` and looks at `read` (core and halo)."""

    core: Region
    read: Region


def tiles(
    region: Region,
    shape: tuple[int, int],
    *,
    size: int | tuple[int, int],
    halo: int,
    align: int = 1,
) -> Iterator[Tile]:
    """Tiles that cover `region`, row by row.

    The cores are disjoint and fill the region; a read window reaches at least
    `halo` further on each side, but never outside `shape`: the network pads
    there, as it would for the image as a whole.

    Parameters
    ----------
    region : Region
        What is to be covered.
    shape : (int, int)
        The grid's shape.
    size : int or (int, int)
        Side of a core, or its height and width; at the right and bottom it is cut.
    halo : int
        Receptive-field radius plus what peak finding needs to see.
    align : int
        Read windows begin and end at multiples of it, or at the edge of the
        image: a network with strides sees the same cells in every tile.
    """
    high, wide = (size, size) if isinstance(size, int) else size
    for y in range(region.y, region.bottom, high):
        for x in range(region.x, region.right, wide):
            core = Region(y, x, min(high, region.bottom - y), min(wide, region.right - x))
            yield Tile(core=core, read=_aligned(core.padded(halo), align).clipped(shape))


def _aligned(region: Region, align: int) -> Region:
    y, x = region.y // align * align, region.x // align * align
    bottom, right = -(-region.bottom // align) * align, -(-region.right // align) * align
    return Region(y, x, bottom - y, right - x)


def rows_by_square(yx: NDArray[np.floating[Any]], side: int) -> list[NDArray[np.intp]]:
    """Rows of the (N, 2) places by the square of `side` pixels that their nearest pixel lies in.

    Squares in reading order; rows of each in the order of the places.
    """
    square = np.floor_divide(np.floor(yx + 0.5), side).astype(np.int64)
    _, which = np.unique(square, axis=0, return_inverse=True)
    rows = np.argsort(which.ravel(), kind="stable")
    ends = np.flatnonzero(np.diff(which.ravel()[rows])) + 1
    return np.split(rows, ends) if len(rows) else []
