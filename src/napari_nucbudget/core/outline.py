"""Regions as people draw them: polygons, with holes, of one part or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.polygon import inside_polygon
from napari_nucbudget.errors import RegionError

__all__ = ["Outline", "Outlines"]

SAMPLES = 1 << 22
"""Points at which all parts of a region together are looked at, about."""
FEWEST, MOST = 16, 256
"""Points a side of a part's bounds."""
SAMPLING_ERROR = 0.03
"""Relative difference of sampled and exact area that is no sign of holes that do not fit."""


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

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest (y, x) of its corners."""
        corners = self.corners.astype(np.float64)
        return corners.min(axis=0), corners.max(axis=0)

    def crosses_itself(self) -> bool:
        """Whether two sides of one ring cross; a ring may touch itself."""
        return any(_crosses(ring.astype(np.float64)) for ring in self.rings())


@dataclass(frozen=True, eq=False)
class Outlines:
    """A region of one part or several."""

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
        low, high = zip(*(part.bounds() for part in self.parts), strict=True)
        return np.min(low, axis=0), np.max(high, axis=0)

    def area_where(
        self, holds: Callable[[NDArray[np.float64]], NDArray[np.bool_]], shape: tuple[int, int]
    ) -> float:
        """Level-0 pixels of the region that lie in an image and where something holds.

        Sampled, within 1 %, part by part, so that small parts far apart count as well. What two
        parts share counts once, and what holes share, or cut away beyond the outline, is no area.

        Parameters
        ----------
        holds : callable
            Takes (N, 2) points of the image, gives (N,) bool.
        shape : (int, int)
            Height and width of the image.
        """
        side = int(np.clip(math.sqrt(SAMPLES / len(self.parts)), FEWEST, MOST))
        steps = (np.arange(side) + 0.5) / side
        lows, highs = (
            np.array(ends) for ends in zip(*(p.bounds() for p in self.parts), strict=True)
        )
        total = 0.0
        for number, part in enumerate(self.parts):
            low = np.maximum(lows[number], -0.5)
            high = np.minimum(highs[number], np.array(shape) - 0.5)
            if (high <= low).any():
                continue
            rows, columns = (a + steps * (b - a) for a, b in zip(low, high, strict=True))
            yx = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
            yx = yx[part.contains(yx)]
            exact = part.area
            whole = (low == lows[number]).all() and (high == highs[number]).all()
            if not len(yx) and whole:  # too thin for a point to fall into it
                total += exact * float(holds(part.corners.astype(np.float64)).mean())
                continue
            alone = len(yx)
            near = ((lows[:number] < high) & (highs[:number] > low)).all(axis=1)
            for before in np.flatnonzero(near):
                yx = yx[~self.parts[before].contains(yx)]
            cell = float(np.prod(high - low)) / side**2
            found = len(yx) * cell
            fits = not part.holes or abs(found - exact) <= SAMPLING_ERROR * exact
            if whole and len(yx) == alone and fits:
                found = exact  # nothing was cut off or shared
            total += found * (float(holds(yx).mean()) if len(yx) else 0.0)
        return total


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
