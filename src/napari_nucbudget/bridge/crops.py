"""Small pictures of single nuclei, cut out of an image of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.image import ImageSource, Region

__all__ = ["CROP_UM", "crop_side", "crops"]

CROP_UM = 20.0
"""Side of a crop: a nucleus and its neighbourhood."""
CROP_PX = 48
"""The same where the pixel size is not known."""


def crop_side(mpp: float | None) -> int:
    """Side of a crop in level-0 pixels, odd."""
    return (CROP_PX if mpp is None else max(round(CROP_UM / mpp), 9)) | 1


def crops(source: ImageSource, yx: NDArray[Any], side: int) -> Iterator[NDArray[np.uint8]]:
    """(side, side, 3) pixels around each point; mirrored where they reach beyond the image."""
    reach = side // 2
    for y, x in np.round(np.asarray(yx)).astype(int).tolist():
        wanted = Region(y - reach, x - reach, side, side)
        inside = wanted.clipped(source.shape)
        pixels = source.read(inside)
        missing = (
            (inside.y - wanted.y, wanted.bottom - inside.bottom),
            (inside.x - wanted.x, wanted.right - inside.right),
            (0, 0),
        )
        yield np.pad(pixels, missing, mode="symmetric")
