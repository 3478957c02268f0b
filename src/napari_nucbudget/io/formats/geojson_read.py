"""Nuclei from GeoJSON: QuPath's, ours, and outlines of nuclei by other programs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.outline import enclosed
from napari_nucbudget.errors import ConfigError, PointsError
from napari_nucbudget.io.formats.class_book import ClassBook, check_one_each, other_classes
from napari_nucbudget.io.formats.coordinates import from_file
from napari_nucbudget.io.formats.facts import Facts, check_version, read_facts
from napari_nucbudget.io.formats.geojson_class import class_name
from napari_nucbudget.io.formats.geojson_ids import nucleus_id, whole_id
from napari_nucbudget.io.formats.json_stream import json_members
from napari_nucbudget.io.formats.points_file import PointsFile, checked
from napari_nucbudget.types.classes import UNLABELLED, ClassScheme
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

__all__ = ["FIELD", "read_geojson"]

FIELD = "field"
"""Name of an annotation that is a rectangle in which every nucleus is dotted."""
AREAS = ("Polygon", "MultiPolygon")


def read_geojson(path: Path | str, classes: ClassScheme | None = None) -> PointsFile:
    """Nuclei from a FeatureCollection, a list of features, or one feature.

    Points and MultiPoints are nuclei; so is the centroid of every outline,
    which a remark says. The classes are those of the header; without one the
    default classes where they suffice, else those that the features name.

    Parameters
    ----------
    path : path
    classes : ClassScheme, optional
        In place of the file's; a class that is not among them is an error.

    Raises
    ------
    PointsError
        Where the file is absent, not JSON, cut short, of a newer version, or no GeoJSON of
        nuclei.
    """
    path = Path(path)
    others: dict[str, Any] = {}
    table: _Table | None = None
    for key, value in json_members(path, "features"):
        if key != "features":
            others[key] = value
            continue
        if table is None:
            table = _table(path, others, classes)
        table.add(value, f"feature {table.features + 1}")
    if table is None:
        table = _table(path, others, classes)
        if others.get("type") == "Feature":
            table.add(others, "the feature")
        elif not isinstance(
            others.get("features", [] if others.get("type") == "FeatureCollection" else None), list
        ):
            raise PointsError(
                f"{path} is JSON, but no GeoJSON of nuclei: it has no list of features. "
                "Export from QuPath with File > Export objects as GeoJSON; for COCO, name the "
                "format (--from coco)."
            )
    return checked(table.points())


def _table(path: Path, others: dict[str, Any], classes: ClassScheme | None) -> _Table:
    header = others.get("nucbudget", {})
    if not isinstance(header, dict):
        raise PointsError(f"{path} is not a table of points: its header is no object.")
    check_version(header.get("version", 1), path)
    facts = read_facts(header, path)
    book = ClassBook(classes or facts.classes, fixed=classes is not None)
    return _Table(path, facts, book, bool(header.get("probabilities", False)))


@dataclass
class _Table:
    """Columns that grow by one feature at a time."""

    path: Path
    facts: Facts
    book: ClassBook
    probabilities: bool
    features: int = 0
    outlines: int = 0
    nowhere: int = 0
    fields: list[Region] = field(default_factory=list)
    xy: list[Any] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    origin: list[str] = field(default_factory=list)
    id: list[int | None] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    prob: list[dict[str, float]] = field(default_factory=list)

    def add(self, feature: Any, where: str) -> None:
        """Nuclei of one feature and of those inside it.

        Raises
        ------
        PointsError
            Where it is not a feature, or its geometry is none of nuclei.
        """
        self.features += 1
        try:
            properties = feature.get("properties") or {}
            geometry = feature.get("nucleusGeometry") or feature["geometry"]
            if geometry is None:  # GeoJSON allows it: an object that lies nowhere
                self.nowhere += 1
                return
            kind, coordinates = geometry["type"], geometry.get("coordinates")
            if properties.get("name") == FIELD and kind in AREAS:
                self.fields.append(_rectangle(_rings(kind, coordinates)))
            elif kind == "Point":
                self._one(feature, properties, coordinates[:2])
            elif kind == "MultiPoint":
                self._many(properties, [c[:2] for c in coordinates])
            elif kind in AREAS:
                self.outlines += 1
                self._one(feature, properties, _centroid(kind, coordinates))
            else:
                raise PointsError(
                    f"{self.path}, {where}: a {kind} cannot be a nucleus; points, outlines and "
                    "lists of points can."
                )
            for child in properties.get("childObjects") or properties.get("children") or []:
                self.add(child, f"an object inside {where}")
        except (ConfigError, PointsError) as error:
            if str(error).startswith(str(self.path)):
                raise
            raise PointsError(f"{self.path}, {where}: {error}") from error
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise PointsError(
                f"{self.path}, {where}, is no GeoJSON feature of nuclei: "
                f"{type(error).__name__} {error}."
            ) from error

    def _one(self, feature: dict[str, Any], properties: dict[str, Any], xy: Any) -> None:
        measured = _measurements(properties.get("measurements"))
        given = feature.get("id")
        self.xy.append((float(xy[0]), float(xy[1])))
        self.label.append(self._class(properties))
        self.score.append(float(measured.pop("score", 1.0)))
        self.origin.append(str((properties.get("metadata") or {}).get("origin", HUMAN)))
        own = nucleus_id(given)
        number = whole_id(given)
        self.id.append(own if number is None else number)
        typed = {}
        if own is not None or self.probabilities:  # another program's p_value is not ours
            typed = {k[2:]: float(v) for k, v in measured.items() if k.startswith("p_")}
        if self.book.open:
            for name in typed:
                self.book.label(name)
        self.prob.append(typed)

    def _many(self, properties: dict[str, Any], xy: list[Any]) -> None:
        """A feature of many points; our columns beside it hold unless it was edited since."""
        n = len(xy)
        ours = properties.get("nucbudget") or {}
        if len(ours.get("id", [])) != n:
            ours = {}
        origin = ours.get("origin", HUMAN)
        names = self.facts.classes.names if self.facts.classes else self.book.names
        prob = ours.get("prob", [[]] * n)
        if "prob" in ours:
            check_one_each(prob, names)
        self.xy += [(float(x), float(y)) for x, y in xy]
        self.label += [self._class(properties)] * n
        self.score += ours.get("score", [1.0] * n)
        self.origin += [origin] * n if isinstance(origin, str) else origin
        self.id += ours.get("id", [None] * n)
        self.row += ours.get("row", [])
        self.prob += [
            {k: float(v) for k, v in zip(names, values, strict=False) if v is not None}
            for values in prob
        ]

    def _class(self, properties: dict[str, Any]) -> int:
        given = properties.get("classification")
        name = class_name(given)
        if name in ("", UNLABELLED):
            return -1
        color = given.get("color", given.get("colorRGB")) if isinstance(given, dict) else None
        return self.book.label(name, color)

    def points(self) -> PointsFile:
        """What was added, as one table in the order that it was written in."""
        n = len(self.xy)
        columns: tuple[list[Any], ...] = (self.score, self.origin, self.id, self.prob)
        if any(len(column) != n for column in columns):
            raise PointsError(
                f"{self.path}: the columns beside a feature of many points differ in length."
            )
        try:
            classes, label = self.book.close(self.label)
            nuclei = Nuclei.from_points(
                from_file(self.xy, "corner"),
                score=self.score,
                label=label,
                origin=self.origin,
                id=self._ids(),
                prob=self._probabilities(classes),
                classes=classes,
            )
        except (ConfigError, PointsError) as error:
            raise PointsError(f"{self.path}: {error}") from error
        if sorted(self.row) == list(range(n)):
            nuclei = nuclei.select(np.argsort(self.row))
        remarks: tuple[str, ...] = ()
        if self.outlines:
            remarks = (
                f"{self.outlines:,} outlines were taken as their centroids; "
                "their shapes were not kept.",
            )
        if self.nowhere:
            remarks += (f"{self.nowhere:,} objects without a place (geometry null) were left out.",)
        if nuclei.prob is not None and not self.book.open:
            remarks += other_classes(self._typed(), classes)
        facts = self.facts
        fields = tuple(self.fields) or facts.fields
        return PointsFile(nuclei, facts.mpp, facts.image, facts.shape, fields, remarks=remarks)

    def _ids(self) -> NDArray[np.int64]:
        """Ids from the file; objects that never had one get those that follow the highest."""
        known = [i for i in self.id if i is not None]
        if len(set(known)) != len(known):
            raise PointsError(
                f"{self.path}: two nuclei have the same id; ids must differ, or be left out."
            )
        after = max(known, default=-1) + 1
        without = iter(range(after, after + len(self.id)))
        try:
            return np.array([next(without) if i is None else i for i in self.id], dtype=np.int64)
        except OverflowError as error:
            raise PointsError(f"{self.path}: an id does not fit into 64 bits.") from error

    def _typed(self) -> list[str]:
        """The classes of the file's probabilities; one that is missing in each row is no other."""
        known = self.facts.classes.names if self.facts.classes else ()
        return list(dict.fromkeys([*known, *(name for row in self.prob for name in row)]))

    def _probabilities(self, classes: ClassScheme) -> NDArray[np.float32] | None:
        if not self.probabilities and not any(self.prob):
            return None
        prob = np.full((len(self.prob), len(classes)), np.nan, dtype=np.float32)
        column = {name: i for i, name in enumerate(classes.names)}
        for row, values in enumerate(self.prob):
            for name, value in values.items():
                if name in column:
                    prob[row, column[name]] = value
        return prob


def _measurements(given: Any) -> dict[str, Any]:
    """QuPath's measurements, as an object or, before 0.4, a list of names and values."""
    if isinstance(given, list):
        return {m["name"]: m["value"] for m in given}
    return {k: v for k, v in (given or {}).items() if v is not None}


def _rings(kind: str, coordinates: Any) -> list[Any]:
    return list(coordinates if kind == "Polygon" else chain.from_iterable(coordinates))


def _rectangle(rings: Any) -> Region:
    """Region of pixels that a rectangle covers; its corners are pixel corners already."""
    x, y = zip(*((c[0], c[1]) for c in rings[0]), strict=True)
    sides = max(x) - min(x), max(y) - min(y)
    box = sides[0] * sides[1]
    ring = np.array([x, y], dtype=np.float64).T
    if len(rings) > 1 or abs(enclosed(ring) - box) > 1e-6 * box:
        raise PointsError(
            f"an area called {FIELD!r} is not an upright rectangle, and fields are: "
            "draw a rectangle, or give the area another name."
        )
    left, top = math.floor(min(x) + 0.5), math.floor(min(y) + 0.5)
    right, bottom = math.floor(max(x) + 0.5), math.floor(max(y) + 0.5)
    if right <= left or bottom <= top:
        raise PointsError(f"an area called {FIELD!r} is smaller than a pixel.")
    return Region(top, left, bottom - top, right - left)


def _centroid(kind: str, coordinates: Any) -> tuple[float, float]:
    """Centre of the area inside the outer rings; the mean corner where they enclose none."""
    rings = [coordinates[0]] if kind == "Polygon" else [part[0] for part in coordinates]
    area, centre = 0.0, np.zeros(2)
    for ring in rings:
        corners = np.asarray([c[:2] for c in ring], dtype=np.float64)
        origin = corners[0]  # far from 0, products lose digits
        a = corners - origin
        b = np.roll(a, -1, axis=0)
        cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
        part = float(cross.sum()) / 2
        if part:
            middle = ((a + b) * cross[:, None]).sum(axis=0) / (6 * part) + origin
            centre += abs(part) * middle
            area += abs(part)
    if not area:
        centre, area = np.mean([c[:2] for ring in rings for c in ring], axis=0), 1.0
    return float(centre[0] / area), float(centre[1] / area)
