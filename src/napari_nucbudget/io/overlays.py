"""Pictures of an image with its nuclei, for looking at without a viewer."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["check_overlay", "write_overlay"]

MAX_SIDE = 8_000
"""Longest side of an overlay; larger images are drawn smaller."""
PROPOSED = "#00e5ff"


def check_overlay(path: Path) -> None:
    """Refuse a place for an overlay that does not end in .png.

    Raises
    ------
    OutputError
    """
    if path.suffix.lower() != ".png":
        raise OutputError(f"An overlay is written as PNG; {path.name} does not end in .png.")


def write_overlay(path: Path | str, source: ImageSource, nuclei: Nuclei) -> Path:
    """PNG of the whole image with a ring around every nucleus, in the colour of its class.

    Drawn at the image's own size, or at a half, a third ... of it where a side
    would exceed 8,000 pixels.

    Raises
    ------
    OutputError
        Where the path does not end in .png or cannot be written.
    """
    from PIL import Image, ImageDraw

    path = Path(path)
    check_overlay(path)
    shrink = max(1, math.ceil(max(source.shape) / MAX_SIDE))
    picture = Image.fromarray(_shrunk(source, shrink))
    draw = ImageDraw.Draw(picture)
    um = source.mpp or 0.5
    ring = max(2.0, 2.4 / um / shrink)
    colors = [c.color for c in nuclei.classes.classes] + [PROPOSED]
    for (y, x), label in zip(nuclei.yx / shrink, nuclei.label, strict=True):
        for grow, color, width in ((1.0, "black", 1), (0.0, colors[label], 2)):
            r = ring + grow
            draw.ellipse((x - r, y - r, x + r, y + r), outline=color, width=width)
    data = io.BytesIO()
    picture.save(data, "PNG")
    write_atomically(path, data.getvalue())
    return path


def _shrunk(source: ImageSource, shrink: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Every `shrink`-th pixel's mean, read in strips so that large images fit."""
    height, width = (n // shrink * shrink for n in source.shape)
    strips = []
    rows = max(shrink, 512 // shrink * shrink)
    for y in range(0, height, rows):
        part = source.read(Region(y, 0, min(rows, height - y), width))
        blocks = part.reshape(part.shape[0] // shrink, shrink, width // shrink, shrink, 3)
        strips.append(blocks.mean(axis=(1, 3)).round().astype(np.uint8))
    return np.concatenate(strips)
