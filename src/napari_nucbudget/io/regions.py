"""Drawn regions from files: QuPath's annotations (GeoJSON) and napari's shapes (CSV)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.outline import Outline, Outlines
from napari_nucbudget.errors import PointsError, RegionError
from napari_nucbudget.io.formats.coordinates import from_file
from napari_nucbudget.io.formats.geojson_class import class_name
from napari_nucbudget.io.formats.json_stream import json_members
from napari_nucbudget.types.names import free_name

__all__ = ["read_regions"]

NO_REGIONS = ("detection", "cell", "tile")
"""Objects of QuPath that are nuclei or pieces of an analysis, not what a person drew."""
SHAPES_COLUMNS = ["index", "shape-type", "vertex-index", "axis-0", "axis-1"]
TAKEN = "tissue"
"""The name of all tissue in tables."""
ROUND = 72
"""Corners of an ellipse."""


def read_regions(path: Path | str, shape: tuple[int, int]) -> dict[str, Outlines]:
    """Regions by name, in the order of the file; points, lines and detections are passed over.

    A region without a name has that of its class, else a number. A name that
    occurs twice gets a number behind it.

    Parameters
    ----------
    path : path
        GeoJSON as QuPath exports annotations, or CSV as napari saves a layer of shapes; in
        pixels of the largest level.
    shape : (int, int)
        Height and width of the slide.

    Raises
    ------
    PointsError
        Where the file is absent, damaged or of another kind.
    RegionError
        Where it holds no region, or one that crosses itself or lies beside the slide.
    """
    path = Path(path)
    kind = _shapes_of_csv if path.suffix.lower() == ".csv" else _features
    regions: dict[str, Outlines] = {}
    for number, (title, parts) in enumerate(kind(path), 1):
        name = free_name(title or f"region {number}", {TAKEN, *regions})
        regions[name] = _checked(parts, f"{path}: the region {name!r}", shape)
    if not regions:
        raise RegionError(
            f"{path} holds no region: no polygon, rectangle or ellipse. Draw some, in QuPath as "
            "annotations, and export them as GeoJSON."
        )
    return regions


def _checked(parts: list[list[NDArray[Any]]], what: str, shape: tuple[int, int]) -> Outlines:
    try:
        region = Outlines(tuple(Outline(rings[0], tuple(rings[1:])) for rings in parts))
    except RegionError as error:
        raise RegionError(f"{what} is none: {error} Draw it again.") from error
    if any(part.crosses_itself() for part in region.parts):
        raise RegionError(f"{what} crosses itself, so that its area is not known. Draw it again.")
    if not region.area > 0:
        raise RegionError(f"{what} has no area. Draw it again, or take it out.")
    low, high = region.bounds()
    if (high < -0.5).any() or (low > np.array(shape) - 0.5).any():
        raise RegionError(
            f"{what} lies beside the slide of {shape[0]} x {shape[1]} pixels: rows "
            f"{low[0]:.0f} to {high[0]:.0f}, columns {low[1]:.0f} to {high[1]:.0f}. Is it another "
            "slide's, or in µm? Regions are given in pixels of the full resolution."
        )
    return region


def _features(path: Path) -> Iterator[tuple[str, list[list[NDArray[Any]]]]]:
    others: dict[str, Any] = {}
    found = False
    for key, value in json_members(path, "features"):
        if key == "features":
            found = True
            yield from _feature(path, value)
        else:
            others[key] = value
    if others.get("type") == "Feature":
        yield from _feature(path, others)
    elif not found and others.get("type") != "FeatureCollection":
        raise PointsError(
            f"{path} is JSON, but no GeoJSON: it has no list of features. Export from QuPath with "
            "File > Export objects as GeoJSON."
        )


def _feature(path: Path, feature: Any) -> Iterator[tuple[str, list[list[NDArray[Any]]]]]:
    try:
        geometry, facts = feature["geometry"], feature.get("properties") or {}
        if geometry is None:  # GeoJSON allows it: an object that lies nowhere
            return
        kind, coordinates = geometry["type"], geometry.get("coordinates")
        if kind not in ("Polygon", "MultiPolygon") or facts.get("objectType") in NO_REGIONS:
            return
        polygons = [coordinates] if kind == "Polygon" else coordinates
        parts = [[_ring(ring) for ring in polygon] for polygon in polygons]
        if not parts or not all(parts):
            raise ValueError("no corners")
        title = facts.get("name") or class_name(facts.get("classification"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise PointsError(
            f"{path} holds a feature that is no GeoJSON ({type(error).__name__}: {error}). Export "
            "it again."
        ) from error
    yield str(title or ""), parts
    for child in facts.get("childObjects") or []:  # QuPath nests what lies inside
        yield from _feature(path, child)


def _ring(coordinates: Any) -> NDArray[Any]:
    corners = from_file([corner[:2] for corner in coordinates], "corner")
    closed = len(corners) > 1 and (corners[0] == corners[-1]).all()
    return corners[:-1] if closed else corners


def _shapes_of_csv(path: Path) -> Iterator[tuple[str, list[list[NDArray[Any]]]]]:
    """Shapes that enclose an area; napari gives them no names."""
    shapes: dict[str, tuple[str, list[list[float]]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            if next(rows, None) != SHAPES_COLUMNS:
                raise PointsError(
                    f"{path} is no table of shapes on one plane as napari saves it: its columns "
                    f"would be {', '.join(SHAPES_COLUMNS)}."
                )
            for index, kind, _, y, x in rows:
                shapes.setdefault(index, (kind, []))[1].append([float(y), float(x)])
    except OSError as error:
        raise PointsError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except (ValueError, csv.Error) as error:
        raise PointsError(f"{path} is damaged ({error}). Save the shapes again.") from error
    for kind, corners in shapes.values():
        if kind in ("polygon", "rectangle", "ellipse"):
            ring = np.array(corners)
            yield "", [[_ellipse(ring) if kind == "ellipse" else ring]]


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of the ellipse in a box of four corners, which may be turned."""
    if len(box) != 4:
        return box
    angle = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)[:, None]
    across, down = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    ring: NDArray[np.float64] = box.mean(axis=0) + np.cos(angle) * across + np.sin(angle) * down
    return ring
