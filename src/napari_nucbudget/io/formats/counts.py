"""Counts per class and field as a table (CSV); only written."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from napari_nucbudget.core.counts import count_nuclei
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.formats.format import Format
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.image import Region

__all__ = ["COUNTS", "write_counts"]

COLUMNS = [
    "image",
    "field",
    "y",
    "x",
    "height",
    "width",
    "class",
    "nuclei",
    "human",
    "area_um2",
    "per_um2",
    "per_mm2",
]


def write_counts(path: Path, points: PointsFile) -> Path:
    """Write how many nuclei of each class lie in the image and in each of its fields.

    Area and density are empty where the size of the image or of a pixel is not known.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    import pandas as pd

    whole = None if points.shape is None else Region.whole(points.shape)
    regions: dict[str, Region | None] = {"all": whole}
    regions |= {f"field {i + 1}": region for i, region in enumerate(points.fields)}
    rows = []
    for count in count_nuclei(points.nuclei, regions, mpp=points.mpp):
        at = count.region
        place = ["", "", "", ""] if at is None else [at.y, at.x, at.height, at.width]
        rows.append(
            [
                points.image,
                count.field,
                *place,
                count.label,
                count.nuclei,
                count.human,
                count.area_um2,
                count.per_um2,
                count.per_mm2,
            ]
        )
    text = StringIO(newline="")
    pd.DataFrame(rows, columns=COLUMNS).to_csv(
        text, index=False, lineterminator="\n", float_format="%.8g"
    )
    write_atomically(path, text.getvalue().encode())
    return path


COUNTS = Format(
    name="counts",
    title="Counts per class and field (CSV)",
    suffixes=(".counts.csv",),
    read=None,
    write=write_counts,
    keeps=frozenset(),
)
