"""Points as CSV whose first lines say what the numbers mean.

::

    # nucbudget points, version 1
    # image: "biopsy.png"
    # mpp: 0.5
    # classes: [{"name": "epithelial", "color": "#00e5ff", "key": "Q"}, ...]
    # coordinates: "level-0 pixels, pixel centres at whole numbers"
    # nuclei: 1234
    id,y,x,score,label,origin

Every value after ``# key:`` is JSON; ``# shape:`` and ``# fields:`` are there where known.
"""

from __future__ import annotations

import json
from csv import QUOTE_MINIMAL, QUOTE_NONNUMERIC, reader
from csv import Error as CsvError
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from napari_nucbudget.errors import ConfigError, PointsError
from napari_nucbudget.io.csv_table import read_csv_table
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.formats.facts import VERSION, check_version, facts_of, read_facts
from napari_nucbudget.io.formats.format import EVERYTHING, Format
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.formats.points_table import points_of_table
from napari_nucbudget.types.classes import ClassScheme
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["CSV", "PointsFile", "read_points_csv", "write_points_csv"]

TITLE = "# nucbudget points, version "


def write_points_csv(path: Path | str, nuclei: Nuclei, *, mpp: float | None, image: str) -> Path:
    """Write nuclei of one image; an existing file is replaced once the new one is whole.

    Parameters
    ----------
    path : path
    nuclei : Nuclei
    mpp : float or None
        µm per level-0 pixel of the image, where it is known.
    image : str
        The image's file name.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    return _write(Path(path), PointsFile(nuclei, mpp, image))


def _write(path: Path, points: PointsFile) -> Path:
    text = StringIO(newline="")
    text.write(f"{TITLE}{VERSION}\n")
    for key, value in {**facts_of(points), "nuclei": len(points.nuclei)}.items():
        text.write(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n")
    nuclei = points.nuclei
    words = [*nuclei.classes.names, *set(nuclei.origin)]
    # A bare carriage return ends a line for readers, though not for the writer.
    quoting: Literal[0, 2] = (
        QUOTE_NONNUMERIC if any("\r" in word for word in words) else QUOTE_MINIMAL
    )
    nuclei.to_frame().to_csv(text, index=False, lineterminator="\n", quoting=quoting)
    write_atomically(path, text.getvalue().encode())
    return path


def read_points_csv(path: Path | str, classes: ClassScheme | None = None) -> PointsFile:
    """Nuclei of one image from a CSV with or without the header lines, see `read_images`.

    Raises
    ------
    PointsError
        As `read_images`, and where the table holds the nuclei of several images.
    """
    found = read_images(Path(path), classes)
    if len(found) > 1:
        raise PointsError(
            f"{path} holds the nuclei of {len(found):,} images, by its column 'image'; those of "
            "one are needed."
        )
    return found[0]


def read_images(path: Path, classes: ClassScheme | None = None) -> list[PointsFile]:
    """Nuclei from a CSV with or without the header lines; one table an image.

    A column ``image``, as label sets have it, names the image of each nucleus.

    Without them the classes are the default ones and the pixel size is None;
    the table needs the columns y and x at least.

    Parameters
    ----------
    path : path
    classes : ClassScheme, optional
        In place of those that the header names.

    Raises
    ------
    PointsError
        Where the file is absent, of a newer version, or not such a table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # a name may hold any newline
            text = file.read()
    except OSError as error:
        raise PointsError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise PointsError(
            f"{path} is not a text file in UTF-8 ({error.reason} at byte {error.start}). "
            "Save it as 'CSV UTF-8'."
        ) from error
    header, table = _header(path, text)
    _check_separator(path, table)
    facts = read_facts(header, path)
    try:
        frame = _table(table)
        return points_of_table(frame, facts, classes, _completeness(header, len(frame), table))
    except ConfigError as error:  # a class that is not known
        raise PointsError(
            f"{path}: {error} Correct it, or name all classes in the first lines of the file: "
            '# classes: [{"name": "...", "color": "#00e5ff", "key": "Q"}, ...]'
        ) from error
    except PointsError as error:
        raise PointsError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise PointsError(f"{path} is not a table of points: {error}.") from error


def _completeness(header: dict[str, Any], rows: int, table: str) -> tuple[str, ...]:
    """A table that lost its end looks like a shorter one; only the header can tell."""
    meant = header.get("nuclei")
    if not isinstance(meant, int) or (meant == rows and table.endswith("\n")):
        return ()
    return (
        f"The header counts {meant:,} nuclei, the table holds {rows:,}: it was edited, "
        "or cut short.",
    )


def _table(text: str) -> Any:
    """pandas table; a class may be called NA, so that only numbers may be missing."""
    words = ("label", "class", "origin", "image")
    columns = read_csv_table(text, nrows=0).columns
    return read_csv_table(
        text,
        dtype=dict.fromkeys(words, str),
        keep_default_na=False,
        na_values={c: ["", "NA", "NaN", "nan"] for c in columns if c not in words},
    )


def _header(path: Path, text: str) -> tuple[dict[str, Any], str]:
    """The header's facts, and the table below it."""
    facts: dict[str, Any] = {}
    start = 0
    while text.startswith(("#", '"# '), start):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = _unpadded(text[start:end])
        start = end + 1
        if line.startswith(TITLE):
            check_version(line.removeprefix(TITLE).strip(), path)
            continue
        key, colon, value = line[1:].partition(":")
        if colon:
            facts[key.strip()] = _value(value.strip())
    return facts, text[start:]


def _unpadded(line: str) -> str:
    """A line of the header as it was before a spreadsheet made cells of it, quoted and padded."""
    if line.startswith('"'):
        line = _joined(line)
    return line.rstrip(",;\t\r ")


def _value(text: str) -> Any:
    """The JSON, also where a spreadsheet split it into cells; else the words as they are."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return json.loads(_joined(text))
    except json.JSONDecodeError:
        return text


def _joined(cells: str) -> str:
    """The words of cells, without the quotes around them; as they are where one is too long."""
    try:
        return ",".join(next(reader([cells]), []))
    except CsvError:
        return cells


def _check_separator(path: Path, table: str) -> None:
    """Refuse the columns of spreadsheets in countries with decimal commas, in words for those."""
    first = table.partition("\n")[0]
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if {"y", "x"} <= {column.strip('" \r') for column in first.split(separator)}:
            raise PointsError(
                f"{path} has {name} between its columns; save it with commas between them, and "
                "with decimal points in the numbers."
            )


CSV = Format(
    name="csv",
    title="Table of nuclei (CSV)",
    suffixes=(".nuclei.csv", ".csv"),
    read=read_images,
    write=_write,
    keeps=EVERYTHING,
)
