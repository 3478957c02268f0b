"""Files of points: one format a file, listed here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from napari_nucbudget.errors import OutputError, PointsError
from napari_nucbudget.io.formats.format import Format
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.registry import Registry
from napari_nucbudget.types.classes import ClassScheme

__all__ = [
    "FORMATS",
    "format_to_read",
    "format_to_write",
    "read_points",
    "with_suffix_of",
    "write_points",
]

FORMATS = Registry(
    "file format",
    {
        "csv": "napari_nucbudget.io.formats.csv:CSV",
        "geojson": "napari_nucbudget.io.formats.geojson:GEOJSON",
        "geojson-annotations": "napari_nucbudget.io.formats.geojson:GEOJSON_ANNOTATIONS",
        "geojson-points": "napari_nucbudget.io.formats.geojson:GEOJSON_POINTS",
        "parquet": "napari_nucbudget.io.formats.parquet:PARQUET",
        "coco": "napari_nucbudget.io.formats.coco:COCO",
        "label-set": "napari_nucbudget.io.formats.label_set:LABEL_SET",
        "counts": "napari_nucbudget.io.formats.counts:COUNTS",
        "crchisto": "napari_nucbudget.io.formats.crchisto:CRCHISTO",
    },
)
"""Formats by name; each reads, or writes, or both."""


def format_to_read(path: Path | str) -> Format:
    """The format that a file's longest known suffix, or a folder's content, stands for.

    Raises
    ------
    PointsError
        Where it is none that can be read.
    """
    path = Path(path)
    if path.is_dir():
        from napari_nucbudget.io.formats.crchisto import is_crchisto_folder
        from napari_nucbudget.io.formats.label_set import is_label_set

        for is_one, name in ((is_label_set, "label-set"), (is_crchisto_folder, "crchisto")):
            if is_one(path):
                chosen: Format = FORMATS[name]
                return chosen
        raise PointsError(
            f"{path} is a folder, but neither a label set (dataset.json, images.csv, points.csv) "
            "nor of CRCHistoPhenotypes (img1/img1_epithelial.mat)."
        )
    found = _by_suffix(path)
    if found is None:
        raise PointsError(
            f"{path.name} has no suffix of a file of points; known: {_suffixes(read=True)}. "
            "Name the format (--from)."
        )
    return found


def format_to_write(path: Path | str) -> Format:
    """The format that a file's longest known suffix stands for; CSV where it has no suffix.

    Raises
    ------
    OutputError
        Where the suffix is not known.
    """
    path = Path(path)
    if not path.suffix:
        csv: Format = FORMATS["csv"]
        return csv
    found = _by_suffix(path)
    if found is None:
        raise OutputError(
            f"{path.name} has no suffix of a file of points; known: {_suffixes(read=False)}. "
            "Choose one, or name the format."
        )
    return found


def read_points(
    path: Path | str,
    *,
    format: str | None = None,
    classes: ClassScheme | None = None,
) -> list[PointsFile]:
    """Points of every image of a file or folder.

    Parameters
    ----------
    path : path
    format : str, optional
        A name of `FORMATS`; default by the suffix.
    classes : ClassScheme, optional
        In place of those that the file names.

    Raises
    ------
    PointsError
        Where it is absent, damaged or of no such format.
    """
    path = Path(path)
    if not path.exists():
        raise PointsError(f"{path} cannot be opened: there is no such file or folder.")
    chosen: Format = FORMATS[format] if format else format_to_read(path)
    if chosen.read is None:
        raise PointsError(f"{chosen.title} can be written, but not read: {path}.")
    return chosen.read(path, classes)


def write_points(path: Path | str, points: PointsFile, *, format: str | None = None) -> Path:
    """Write the points of one image in the format of the suffix, or that of the given name.

    Raises
    ------
    OutputError
        Where the format cannot be written, or the place.
    """
    path = Path(path)
    chosen: Format = FORMATS[format] if format else format_to_write(path)
    if chosen.write is None:
        raise OutputError(f"{chosen.title} can be read, but not written: {path}.")
    if points.source is not None and points.shape is None:
        points = replace(points, shape=points.source.shape)
    return chosen.write(path, points)


def with_suffix_of(path: Path | str, format: str) -> Path:
    """The path of a file with the suffix of a format in place of another format's.

    One that the format has too stays, and so does a suffix of no format. A short one is followed
    by a short one: `a.csv` becomes `a.geojson`, `a.nuclei.csv` becomes `a.nuclei.geojson`.
    """
    path, wanted = Path(path), FORMATS[format].suffixes
    found = _by_suffix(path)
    if found is None:
        return path
    name = path.name.lower()
    suffix = max((s for s in found.suffixes if name.endswith(s)), key=len)
    if suffix in wanted or suffix == name:
        return path
    place = min(found.suffixes.index(suffix), len(wanted) - 1)
    return path.with_name(path.name[: -len(suffix)] + wanted[place])


def _all() -> Iterator[Format]:
    return (FORMATS[name] for name in FORMATS)


def _by_suffix(path: Path) -> Format | None:
    """Of `.points.geojson` and `.geojson` the longer one counts."""
    name = path.name.lower()
    known = [(s, f) for f in _all() for s in f.suffixes if s and name.endswith(s)]
    return max(known, key=lambda pair: len(pair[0]))[1] if known else None


def _suffixes(*, read: bool) -> str:
    able = [f for f in _all() if (f.read if read else f.write) is not None]
    return ", ".join(s for f in able for s in f.suffixes if s)
