"""What a file of points says: nuclei, and facts about the image that they lie on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["PointsFile", "checked"]


@dataclass(frozen=True, eq=False)
class PointsFile:
    """Nuclei of one image, and what is known about the image.

    Attributes
    ----------
    nuclei : Nuclei
    mpp : float or None
        µm per level-0 pixel.
    image : str
        The image's file name; empty where it is not known.
    shape : (int, int) or None
        Height and width of level 0.
    fields : tuple of Region
        Where the annotator declared every nucleus dotted.
    source : ImageSource or None
        The image itself, for the formats that hold its pixels.
    remarks : tuple of str
        Sentences for the user: what was taken otherwise than it was written.
    """

    nuclei: Nuclei
    mpp: float | None = None
    image: str = ""
    shape: tuple[int, int] | None = None
    fields: tuple[Region, ...] = ()
    source: ImageSource | None = None
    remarks: tuple[str, ...] = ()


def checked(points: PointsFile) -> PointsFile:
    """The same points, with a remark where some of them lie outside the image; all are kept."""
    yx = points.nuclei.yx
    outside = (yx < -0.5).any(axis=1)
    if points.shape is not None:
        outside |= ~Region.whole(points.shape).contains(yx)
    if not outside.any():
        return points
    y, x = yx[np.argmax(outside)]
    remark = (
        f"{int(outside.sum()):,} of {len(yx):,} nuclei lie outside the image, the first at "
        f"x={x:g}, y={y:g}; they were kept. Coordinates are level-0 pixels from its top left."
    )
    return replace(points, remarks=(*points.remarks, remark))
