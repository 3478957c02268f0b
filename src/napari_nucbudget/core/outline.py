"""Regions as people draw them: polygons, with holes, of one part or several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.polygon import inside_polygon
from napari_nucbudget.errors import RegionError

__all__ = ["Outline", "Outlines"]


@dataclass(frozen=True, eq=False)
class Outline:
    """A polygon on a slide, as it is drawn in a viewer.

    Attributes
    ----------
    corners : (M, 2) floats
        Level-0 (y, x), pixel centres at whole numbers; the last is joined to the first.
    holes : tuple of (K, 2) floats
        What is cut out of it; holes lie inside, and apart from one another.

    Raises
    ------
    RegionError
        Where a ring has fewer than three corners, or a corner that is no number.
    """

    corners: NDArray[np.floating]
    holes: tuple[NDArray[np.floating], ...] = ()

    def __post_init__(self) -> None:
        for ring in self.rings():
            if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
                raise RegionError(
                    f"A polygon has at least 3 corners of (y, x), got shape {ring.shape}."
                )
            if not np.isfinite(ring).all():
                raise RegionError("A polygon has a corner that is no number.")

    def rings(self) -> Iterator[NDArray[np.floating]]:
        """The outline, then the holes."""
        yield self.corners
        yield from self.holes

    @property
    def area(self) -> float:
        """Level-0 pixels, by the shoelace formula."""
        return _enclosed(self.corners) - sum(_enclosed(hole) for hole in self.holes)

    def contains(self, yx: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which of (N, 2) points lie inside, and in no hole."""
        inside = inside_polygon(yx, self.corners)
        for hole in self.holes:
            inside &= ~inside_polygon(yx, hole)
        return inside

    def crosses_itself(self) -> bool:
        """Whether two sides of one ring cross; a ring may touch itself."""
        return any(_crosses(ring.astype(np.float64)) for ring in self.rings())


@dataclass(frozen=True, eq=False)
class Outlines:
    """A region of one part or several, which do not overlap."""

    parts: tuple[Outline, ...]

    @property
    def area(self) -> float:
        """Level-0 pixels."""
        return sum(part.area for part in self.parts)

    def contains(self, yx: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which of (N, 2) level-0 points lie inside."""
        inside = np.zeros(len(yx), np.bool_)
        for part in self.parts:
            inside |= part.contains(yx)
        return inside

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest (y, x) of its corners."""
        corners = np.concatenate([part.corners for part in self.parts]).astype(np.float64)
        return corners.min(axis=0), corners.max(axis=0)


def _enclosed(ring: NDArray[np.floating]) -> float:
    y, x = (ring - ring[0]).astype(np.float64).T
    return 0.5 * abs(float(y @ np.roll(x, 1) - x @ np.roll(y, 1)))


def _crosses(ring: NDArray[np.float64]) -> bool:
    ends = np.roll(ring, -1, axis=0)
    for i in range(len(ring) - 2):
        # Sides that follow one another meet in their corner.
        last = len(ring) - (i == 0)
        a, b, c, d = ring[i], ends[i], ring[i + 2 : last], ends[i + 2 : last]
        apart = _side(a, b, c) * _side(a, b, d) < 0
        if (apart & (_side(c, d, a) * _side(c, d, b) < 0)).any():
            return True
    return False


def _side(
    start: NDArray[np.float64], end: NDArray[np.float64], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """On which side of a line points lie: above 0, below 0, or 0 on it."""
    along, to = end - start, point - start
    side: NDArray[np.float64] = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
    return side
