"""What a file of points says: nuclei, and facts about the image that they lie on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.labels import Provenance
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.stain import StainStatistics

__all__ = ["Labelled", "PointsFile", "checked"]

OUTSIDE = "nuclei lie outside the image"


@dataclass(frozen=True)
class Labelled:
    """Where an image of a label set belongs, see `AnnotatedImage`."""

    patient: str
    tissue: str
    split: str
    stain: StainStatistics | None
    provenance: Provenance | None


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
    labelled : Labelled or None
        What a label set tells about the image beside its dots.
    """

    nuclei: Nuclei
    mpp: float | None = None
    image: str = ""
    shape: tuple[int, int] | None = None
    fields: tuple[Region, ...] = ()
    source: ImageSource | None = None
    remarks: tuple[str, ...] = ()
    labelled: Labelled | None = None

    def __post_init__(self) -> None:
        # Bytes of a file name that are not UTF-8 cannot stand in a file of points.
        name = re.sub("[\ud800-\udfff]", "\ufffd", self.image)
        object.__setattr__(self, "image", name)


def checked(points: PointsFile) -> PointsFile:
    """The same points, with a remark where some of them lie outside the image; all are kept.

    It takes the place of an earlier one, which knew less of the image.
    """
    yx = points.nuclei.yx
    outside = (yx < -0.5).any(axis=1)
    if points.shape is not None:
        outside |= ~Region.whole(points.shape).contains(yx)
    remarks = tuple(remark for remark in points.remarks if OUTSIDE not in remark)
    if not outside.any():
        return replace(points, remarks=remarks)
    y, x = yx[np.argmax(outside)]
    remark = (
        f"{int(outside.sum()):,} of {len(yx):,} {OUTSIDE}, the first at "
        f"x={x:g}, y={y:g}. Coordinates are level-0 pixels from its top left."
    )
    return replace(points, remarks=(*remarks, remark))
