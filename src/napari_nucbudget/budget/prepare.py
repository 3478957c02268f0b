"""Label sets held in memory at the model's pixel size, so that no run reads an image again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet

__all__ = ["in_memory"]


def in_memory(labels: LabelSet, *, mpp: float) -> LabelSet:
    """The same images on the grid of `mpp`, as arrays of 8 bits.

    Training rounds rescaled pixels to 8 bits too, so it draws from this label
    set exactly what it would draw from the files.
    """
    return replace(labels, images=tuple(_on_grid(image, mpp) for image in labels))


def _on_grid(image: AnnotatedImage, mpp: float) -> AnnotatedImage:
    grid = ModelGrid.of(image.source, mpp=image.mpp, model_mpp=mpp)
    pixels = np.clip(grid.read(Region.whole(grid.shape)) + 0.5, 0, 255).astype(np.uint8)
    nuclei = image.nuclei.mapped(1 / grid.step)
    place = np.clip(nuclei.yx, 0, np.array(grid.shape) - 1).astype(nuclei.yx.dtype)
    return replace(
        image,
        source=ArraySource(pixels, mpp=image.mpp * grid.step, name=image.name),
        nuclei=replace(nuclei, yx=place),
        fields=tuple(grid.region(field) for field in image.fields),
    )
