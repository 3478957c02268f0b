"""Points as CSV whose first lines say what the numbers mean.

::

    # nucbudget points, version 1
    # image: "biopsy.png"
    # mpp: 0.5
    # classes: [{"name": "epithelial", "color": "#00e5ff", "key": "Q"}, ...]
    # coordinates: level-0 pixels, pixel centres at whole numbers
    id,y,x,score,label,origin

Every value after ``# key:`` is JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from napari_nucbudget.errors import ConfigError, PointsError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["PointsFile", "read_points_csv", "write_points_csv"]

VERSION = 1
TITLE = "# nucbudget points, version "


@dataclass(frozen=True, eq=False)
class PointsFile:
    """Nuclei from a file with what the file says about its image."""

    nuclei: Nuclei
    mpp: float | None
    image: str


def write_points_csv(path: Path | str, nuclei: Nuclei, *, mpp: float, image: str) -> Path:
    """Write nuclei of one image; an existing file is replaced once the new one is whole.

    Parameters
    ----------
    path : path
    nuclei : Nuclei
    mpp : float
        µm per level-0 pixel of the image.
    image : str
        The image's file name.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    path = Path(path)
    facts: dict[str, Any] = {
        "image": image,
        "mpp": mpp,
        "classes": [asdict(c) for c in nuclei.classes.classes],
        "coordinates": "level-0 pixels, pixel centres at whole numbers",
    }
    text = StringIO()
    text.write(f"{TITLE}{VERSION}\n")
    for key, value in facts.items():
        text.write(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n")
    nuclei.to_frame().to_csv(text, index=False, lineterminator="\n")
    write_atomically(path, text.getvalue().encode())
    return path


def read_points_csv(path: Path | str) -> PointsFile:
    """Nuclei from a CSV with or without the header lines.

    Without them the classes are the default ones and the pixel size is None;
    the table needs the columns y and x at least.

    Raises
    ------
    PointsError
        Where the file is absent, of a newer version, or not such a table.
    """
    import pandas as pd

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PointsError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise PointsError(f"{path} is not a text file: {error.reason}.") from error
    facts, table = _header(path, text)
    classes = DEFAULT_CLASSES
    try:
        if "classes" in facts:
            classes = ClassScheme(tuple(NucleusClass(**c) for c in facts["classes"]))
        mpp = None if facts.get("mpp") is None else float(facts["mpp"])
        frame = pd.read_csv(StringIO(table), keep_default_na=True, na_values=[])
        nuclei = Nuclei.from_frame(frame, classes)
    except (ConfigError, PointsError) as error:
        raise PointsError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise PointsError(f"{path} is not a table of points: {error}.") from error
    return PointsFile(nuclei, mpp, str(facts.get("image", "")))


def _header(path: Path, text: str) -> tuple[dict[str, Any], str]:
    """The header's facts, and the table below it."""
    lines = text.splitlines(keepends=True)
    facts: dict[str, Any] = {}
    first = 0
    for first, line in enumerate(lines):  # noqa: B007
        if not line.startswith("#"):
            break
        if line.startswith(TITLE):
            version = line.removeprefix(TITLE).strip()
            if not version.isdecimal() or int(version) > VERSION:
                raise PointsError(
                    f"{path} has version {version} of the points format; up to {VERSION} can be "
                    "read. Update napari-nucbudget."
                )
            continue
        key, colon, value = line[1:].partition(":")
        if not colon:
            continue
        try:
            facts[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            facts[key.strip()] = value.strip()
    return facts, "".join(lines[first:])
