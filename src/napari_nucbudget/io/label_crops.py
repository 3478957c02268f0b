"""The parts of labelled images that are learnt from, so that no whole slide must be copied."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.tiling import rows_by_square
from napari_nucbudget.io.label_sets import write_label_set
from napari_nucbudget.types.image import ImageSource, Level, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["around_fields", "around_nuclei", "by_pixel_size", "write_folders"]

MARGIN_UM = 72.0
"""Tissue around a field or nucleus: half a window of window-cnn in training, and more than any
other network looks at."""
CELL = 1024
"""Nuclei of one square of so many pixels share a crop."""


@dataclass(frozen=True, eq=False)
class _Crop:
    """A rectangle of an image as an image of its own."""

    source: ImageSource
    region: Region
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        return self.region.height, self.region.width

    @property
    def mpp(self) -> float | None:
        return self.source.mpp

    @property
    def levels(self) -> tuple[Level, ...]:
        return (Level(self.shape, 1.0),)

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        return self.source.read(region.shifted(self.region.y, self.region.x))


def around_fields(labels: LabelSet) -> LabelSet:
    """One image for every field, with the tissue around it; what lies in no field is left out.

    Fields whose surroundings overlap share an image, so that none is background of another.
    An image of unknown patient counts as a patient, so that its crops stay together.
    """
    crops = []
    for image in labels:
        for group in _joined(image.fields, _margin(image), image.source.shape):
            crops.append(_cut(image, group, image.in_fields()))
    return replace(labels, images=tuple(crops))


def around_nuclei(labels: LabelSet) -> LabelSet:
    """Images around the nuclei, which are in one each; fields are left out."""
    crops = []
    for image in labels:
        for rows in rows_by_square(image.nuclei.yx, CELL):
            mine = image.nuclei.select(rows)
            low = np.floor(mine.yx.min(axis=0) + 0.5).astype(int)
            high = np.floor(mine.yx.max(axis=0) + 0.5).astype(int) + 1
            box = Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
            around = box.padded(_margin(image)).clipped(image.source.shape)
            crops.append(_cut(replace(image, fields=()), around, mine))
    return replace(labels, images=tuple(crops))


def by_pixel_size(labels: LabelSet, name: str) -> LabelSet:
    """The images with names that can be those of files, and `dataset` the folder of each.

    That is `name`, with a number where there are several pixel sizes: a folder has one.
    """
    sizes = sorted({round(image.mpp, 6) for image in labels})
    images: list[AnnotatedImage] = []
    for number, size in enumerate(sizes, start=1):
        folder = name if len(sizes) == 1 else f"{name}-{number}"
        mine = [image for image in labels if round(image.mpp, 6) == size]
        images += [replace(image, dataset=folder) for image in _named_apart(mine)]
    return replace(labels, images=tuple(images))


def write_folders(labels: LabelSet, parent: Path) -> list[Path]:
    """A label set folder for each `dataset` of `by_pixel_size`; gives their paths.

    Raises
    ------
    OutputError
        Where they exist or cannot be written.
    """
    names = sorted({image.dataset for image in labels})
    return [
        write_label_set(
            replace(labels, images=tuple(i for i in labels if i.dataset == name)), parent / name
        )
        for name in names
    ]


def _named_apart(images: Sequence[AnnotatedImage]) -> tuple[AnnotatedImage, ...]:
    """Images whose names can be those of files."""
    seen: dict[str, int] = {}
    renamed = []
    for image in images:
        name = "".join(c if c.isalnum() or c in "._- ()" else "_" for c in image.name) or "image"
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name = f"{name} {seen[name]}"
        whole = Region.whole(image.source.shape)
        renamed.append(replace(image, source=_Crop(image.source, whole, name)))
    return tuple(renamed)


def _margin(image: AnnotatedImage) -> int:
    return math.ceil(MARGIN_UM / image.mpp)


def _cut(image: AnnotatedImage, region: Region, nuclei: Nuclei) -> AnnotatedImage:
    inside = nuclei.select(region.contains(nuclei.yx)).shifted(-region.y, -region.x)
    fields = tuple(
        field.shifted(-region.y, -region.x) for field in image.fields if _within(field, region)
    )
    patient = image.patient if image.patient != "unknown" else f"image {image.name}"
    name = f"{image.name}_y{region.y}_x{region.x}"
    return replace(
        image,
        source=_Crop(image.source, region, name),
        nuclei=inside,
        fields=fields,
        patient=patient,
        whole=image.whole or image.source,
    )


def _joined(fields: Iterable[Region], margin: int, shape: tuple[int, int]) -> list[Region]:
    """Surroundings of fields, joined to their bounding box for as long as any two overlap."""
    boxes = [field.padded(margin).clipped(shape) for field in fields]
    joined: list[Region] = []
    while boxes:
        box = boxes.pop()
        other = next((b for b in (*boxes, *joined) if _overlap(box, b)), None)
        if other is None:
            joined.append(box)
        else:
            (boxes if other in boxes else joined).remove(other)
            boxes.append(_around(box, other))
    return sorted(joined, key=lambda r: (r.y, r.x))


def _overlap(a: Region, b: Region) -> bool:
    return a.y < b.bottom and b.y < a.bottom and a.x < b.right and b.x < a.right


def _around(a: Region, b: Region) -> Region:
    y, x = min(a.y, b.y), min(a.x, b.x)
    return Region(y, x, max(a.bottom, b.bottom) - y, max(a.right, b.right) - x)


def _within(inner: Region, outer: Region) -> bool:
    return _around(inner, outer) == outer
