"""Counts, densities and distances of regions as one table (CSV), and what was left out."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from napari_nucbudget.core.statistics import ClassStatistics
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.types.image import Region

__all__ = ["write_skipped", "write_statistics"]

COLUMNS = [
    "image",
    "region",
    "class",
    "nuclei",
    "fraction",
    "area_mm2",
    "per_mm2",
    "nearest_um",
    "nearest_same_class_um",
]


def write_statistics(path: Path, rows: Sequence[ClassStatistics], *, image: str) -> Path:
    """Write a row a region and class; distances are medians, empty where there are none.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    names = list(rows[0].nearest_by_class_um) if rows else []
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"nearest_{name}_um" for name in names)])
    for row in rows:
        values = [row.fraction, row.area_mm2, row.per_mm2, row.nearest_um, row.nearest_same_um]
        values += [row.nearest_by_class_um[name] for name in names]
        writer.writerow([image, row.region, row.label, row.nuclei, *map(_number, values)])
    write_atomically(path, text.getvalue().encode())
    return path


def write_skipped(path: Path, skipped: Sequence[tuple[Region, str]]) -> Path:
    """Write the level-0 places of a slide that were not computed, each with the reason.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["y", "x", "height", "width", "reason"])
    writer.writerows([r.y, r.x, r.height, r.width, reason] for r, reason in skipped)
    write_atomically(path, text.getvalue().encode())
    return path


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
