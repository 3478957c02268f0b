"""GeoJSON as QuPath reads and writes it, in three forms of which one file may hold any.

* one detection a nucleus (``geojson``), with its score and probabilities as measurements;
* the same as annotations (``geojson-annotations``), which a person can move in QuPath;
* one annotation of many points a class (``geojson-points``), as QuPath's counting tool has them.

Coordinates are x, y from the *corner* of the top left pixel. A nucleus keeps
its id inside the feature's UUID, and its origin in the metadata, both of which
QuPath gives back. What QuPath does not know stands in members called
``nucbudget``, which it skips: the header of the file, and the columns of a
feature of many points.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.formats.colors import rgb_of
from napari_nucbudget.io.formats.coordinates import shortest, to_file
from napari_nucbudget.io.formats.facts import VERSION, facts_of
from napari_nucbudget.io.formats.format import EVERYTHING, Format
from napari_nucbudget.io.formats.geojson_ids import nucleus_uuid
from napari_nucbudget.io.formats.geojson_read import FIELD, read_geojson
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import ClassScheme
from napari_nucbudget.types.nuclei import Nuclei

__all__ = [
    "GEOJSON",
    "GEOJSON_ANNOTATIONS",
    "GEOJSON_POINTS",
    "read_geojson",
    "write_geojson",
]

CHUNK = 4096


def write_geojson(path: Path, points: PointsFile, *, form: str = "detection") -> Path:
    """Write points of one image for QuPath; features go to the disk as they are made.

    Parameters
    ----------
    path : path
    points : PointsFile
    form : {"detection", "annotation", "points"}
        One feature a nucleus of that type, or one MultiPoint annotation a class.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    features = (
        _multipoints(points) if form == "points" else _single(points.nuclei, form, points.image)
    )
    write_atomically(path, _document(points, features))
    return path


def _document(points: PointsFile, features: Iterator[str]) -> Iterator[bytes]:
    facts = facts_of(points, coordinates="level-0 pixels, pixel corners at whole numbers")
    header = {"version": VERSION, **facts, "probabilities": points.nuclei.prob is not None}
    # The list comes last: a reader knows the header before the first feature.
    yield f'{{"type":"FeatureCollection","nucbudget":{_json(header)},"features":['.encode()
    separator = "\n"
    block: list[str] = []
    for feature in _with_fields(points, features):
        block += (separator, feature)
        separator = ",\n"
        if len(block) >= CHUNK:
            yield "".join(block).encode()
            block.clear()
    yield ("".join(block) + "\n]}\n").encode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _with_fields(points: PointsFile, features: Iterator[str]) -> Iterator[str]:
    """The fields as locked rectangles, below the nuclei."""
    for number, region in enumerate(points.fields):
        y, x, bottom, right = region.y, region.x, region.bottom, region.right
        ring = [[x, y], [right, y], [right, bottom], [x, bottom], [x, y]]
        yield _json(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{points.image}/field {number}")),
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"objectType": "annotation", "name": FIELD, "isLocked": True},
            }
        )
    yield from features


def _classification(classes: ClassScheme, label: int) -> str:
    """Property of a feature, with its comma; nothing where no class was given."""
    if label < 0:
        return ""
    chosen = classes.classes[label]
    color = rgb_of(chosen.color)
    value = {"name": chosen.name, **({"color": color} if color else {})}
    return f'"classification":{_json(value)},'


def _single(nuclei: Nuclei, kind: str, image: str) -> Iterator[str]:
    """One feature a nucleus; put together as text, since a million dicts take minutes."""
    xy = to_file(nuclei.yx, "corner").tolist()
    score = _numbers(nuclei.score)
    prob = None if nuclei.prob is None else _numbers(nuclei.prob)
    labels, origins = nuclei.label.tolist(), nuclei.origin.tolist()
    names = [_json(f"p_{name}") for name in nuclei.classes.names]
    by_label = {label: _classification(nuclei.classes, label) for label in set(labels)}
    by_origin = {origin: _json({"origin": origin}) for origin in set(origins)}
    prefix = _image_prefix(image)
    for i, number in enumerate(nuclei.id.tolist()):
        measured = [f'"score":{score[i]!r}']
        if prob is not None:
            measured += [
                f"{n}:{p!r}"
                for n, p in zip(names, prob[i], strict=True)
                if p == p  # not NaN
            ]
        x, y = xy[i]
        yield (
            f'{{"type":"Feature","id":"{nucleus_uuid(number, prefix)}",'
            f'"geometry":{{"type":"Point","coordinates":[{x!r},{y!r}]}},'
            f'"properties":{{"objectType":"{kind}",{by_label[labels[i]]}'
            f'"measurements":{{{",".join(measured)}}},"metadata":{by_origin[origins[i]]}}}}}'
        )


def _multipoints(points: PointsFile) -> Iterator[str]:
    """One annotation a class; the columns that QuPath has no place for stand beside it."""
    nuclei = points.nuclei
    for label in sorted(set(nuclei.label.tolist())):
        rows = np.flatnonzero(nuclei.label == label)
        part = nuclei.select(rows)
        name = nuclei.classes.name(label)
        columns: dict[str, Any] = {
            "row": rows.tolist(),
            "id": part.id.tolist(),
            "score": _numbers(part.score),
            "origin": _packed(part.origin.tolist()),
        }
        if part.prob is not None:
            columns["prob"] = [[p if p == p else None for p in row] for row in _numbers(part.prob)]
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{points.image}/class {label} {name}")
        yield (
            f'{{"type":"Feature","id":"{identity}","geometry":{{"type":"MultiPoint",'
            f'"coordinates":{_json(to_file(part.yx, "corner").tolist())}}},'
            f'"properties":{{"objectType":"annotation",{_classification(nuclei.classes, label)}'
            f'"name":{_json(name)},"nucbudget":{_json(columns)}}}}}'
        )


def _numbers(values: Any) -> list[Any]:
    """float32 values with as few decimals as give them back; a list a row where there are two."""
    numbers: list[Any] = shortest(values.astype(np.float64), values).tolist()
    return numbers


def _packed(values: list[str]) -> str | list[str]:
    """One value where all are the same."""
    return values[0] if len(set(values)) == 1 else values


def _image_prefix(image: str) -> bytes:
    """Six bytes that tell the nuclei of two images apart."""
    return sha256(image.encode("utf-8", "surrogatepass")).digest()[:6]


def _writer(form: str) -> Callable[[Path, PointsFile], Path]:
    return lambda path, points: write_geojson(path, points, form=form)


GEOJSON = Format(
    name="geojson",
    title="QuPath detections (GeoJSON)",
    suffixes=(".nuclei.geojson", ".geojson", ".json"),
    read=lambda path, classes: [read_geojson(path, classes)],
    write=_writer("detection"),
    keeps=EVERYTHING,
)
GEOJSON_ANNOTATIONS = Format(
    name="geojson-annotations",
    title="QuPath annotations, one a nucleus (GeoJSON)",
    suffixes=(".annotations.geojson",),
    read=lambda path, classes: [read_geojson(path, classes)],
    write=_writer("annotation"),
    keeps=EVERYTHING,
)
GEOJSON_POINTS = Format(
    name="geojson-points",
    title="QuPath points, one annotation a class (GeoJSON)",
    suffixes=(".points.geojson",),
    read=lambda path, classes: [read_geojson(path, classes)],
    write=_writer("points"),
    keeps=EVERYTHING,
)
