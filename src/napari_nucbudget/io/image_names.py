"""Names of images without the suffixes of their files."""

from __future__ import annotations

from pathlib import PurePath

from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.images import TIFF_SUFFIXES
from napari_nucbudget.io.slides import SLIDE_SUFFIXES

__all__ = ["image_title"]

FILE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp", *TIFF_SUFFIXES, *SLIDE_SUFFIXES)
)


def image_title(points: PointsFile) -> str:
    """Name of the image without folders and the suffix of an image file; empty where it has none.

    An image of a label set has no suffix, and what follows a dot in its name is part of it:
    ``biopsy.ome_y0_x0``, ``v1.0``.
    """
    if points.labelled is not None:
        return points.image
    name = PurePath(points.image.replace("\\", "/"))
    return name.stem if name.suffix.lower() in FILE_SUFFIXES else name.name
