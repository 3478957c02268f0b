"""Regions as people draw them: polygons, with holes, of one part or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.polygon import inside_polygon
from napari_nucbudget.errors import RegionError

__all__ = ["Outline", "Outlines", "enclosed"]

PIECES = 2048
"""Pieces into which a region is cut to see where something holds, about."""
ALIKE = 1e-9
"""Share of its bounds by which two areas of a ring may differ."""
SAMPLES = 8
"""Points a side of a piece's bounds that are looked at."""


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
        return enclosed(self.corners) - sum(enclosed(hole) for hole in self.holes)

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

        The region's own area is exact: what two parts share counts once, and what holes share,
        or cut away beyond the outline, is no area. It is cut into small pieces, and in each
        of them points say on which share of it the condition holds.

        Parameters
        ----------
        holds : callable
            Takes (N, 2) points of the image, gives (N,) bool.
        shape : (int, int)
            Height and width of the image.
        """
        import shapely

        whole = shapely.union_all(_polygons_of(self.parts))
        image = shapely.box(-0.5, -0.5, shape[1] - 0.5, shape[0] - 0.5)
        pieces = _cut(shapely.intersection(whole, image), PIECES)
        if not len(pieces):
            return 0.0
        left, top, right, bottom = shapely.bounds(pieces).T[:, :, None]
        steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
        y, x = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
        x, y = left + x * (right - left), top + y * (bottom - top)
        seen = shapely.contains_xy(pieces[:, None], x, y)
        some = shapely.point_on_surface(pieces)  # of a piece so thin that no point falls into it
        none = ~seen.any(axis=1)
        x[none, 0], y[none, 0], seen[none, 0] = (
            shapely.get_x(some[none]),
            shapely.get_y(some[none]),
            True,
        )
        held = np.zeros(seen.shape)
        held[seen] = holds(np.stack([y[seen], x[seen]], axis=1))
        return float((shapely.area(pieces) * held.sum(axis=1) / seen.sum(axis=1)).sum())


def _polygons_of(parts: tuple[Outline, ...]) -> NDArray[Any]:
    """Each part as a valid geometry, x before y."""
    import shapely

    def valid(rings: list[NDArray[np.floating]]) -> NDArray[Any]:
        found = np.array([shapely.Polygon(ring[:, ::-1]) for ring in rings], dtype=object)
        broken = ~shapely.is_valid(found)
        found[broken] = shapely.make_valid(found[broken])
        return found

    found = valid([part.corners for part in parts])
    for number, part in enumerate(parts):
        if part.holes:
            holes = shapely.union_all(valid(list(part.holes)))
            found[number] = shapely.difference(found[number], holes)
    return found


def _cut(geometry: Any, count: int) -> NDArray[Any]:
    """Polygons that make up a geometry, halved until there are so many or more."""
    import shapely

    pieces = _polygons(geometry)
    while 0 < len(pieces) < count:
        left, top, right, bottom = shapely.bounds(pieces).T
        wide = right - left >= bottom - top
        x, y = np.where(wide, (left + right) / 2, right), np.where(wide, bottom, (top + bottom) / 2)
        first = shapely.intersection(pieces, shapely.box(left, top, x, y))
        x, y = np.where(wide, (left + right) / 2, left), np.where(wide, top, (top + bottom) / 2)
        second = shapely.intersection(pieces, shapely.box(x, y, right, bottom))
        pieces = _polygons(np.concatenate([first, second]))
    return pieces


def _polygons(geometry: Any) -> NDArray[Any]:
    """The polygons of geometries that have an area."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(geometry))
    return np.asarray(parts[shapely.area(parts) > 0])


def enclosed(ring: NDArray[np.floating]) -> float:
    """Area inside an (M, 2) ring, by the shoelace formula; its last corner may be the first."""
    y, x = (ring - ring[0]).astype(np.float64).T
    return 0.5 * abs(float(y @ np.roll(x, 1) - x @ np.roll(y, 1)))


def _crosses(ring: NDArray[np.float64]) -> bool:
    """Whether the ring goes around some place twice, or the other way than around the rest."""
    import shapely

    polygon = shapely.Polygon(ring[:, ::-1])
    if shapely.is_valid(polygon):
        return False
    sides = np.ptp(ring, axis=0)
    evenly = shapely.area(shapely.make_valid(polygon))
    return bool(abs(enclosed(ring) - evenly) > ALIKE * sides[0] * sides[1])
