"""Patches of labelled and unlabelled nuclei, at the model's pixel size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.patches import cut_patches
from napari_nucbudget.errors import TrainingError
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import LabelSet

__all__ = ["NucleusPatches", "nucleus_patches", "stain_reference"]


@dataclass(frozen=True, eq=False)
class NucleusPatches:
    """Patches of every nucleus of some images.

    Attributes
    ----------
    rgb : (N, side, side, 3) uint8
    label : (N,) int16, -1 where no class is known
    image : (N,) int32, index of the image
    """

    rgb: NDArray[np.uint8]
    label: NDArray[np.int16]
    image: NDArray[np.int32]


def nucleus_patches(
    labels: LabelSet, *, mpp: float, side: int, stain: StainReference | None = None
) -> NucleusPatches:
    """Patches around all nuclei, rescaled to `mpp` by each image's own pixel size.

    With a `stain`, each image is stained like it first.
    """
    rgb = [np.zeros((0, side, side, 3), np.uint8)]
    label, number = [np.zeros(0, np.int16)], [np.zeros(0, np.int32)]
    for index, image in enumerate(labels):
        if not len(image.nuclei):
            continue
        grid = ModelGrid.of(image.source, mpp=image.mpp, model_mpp=mpp)
        grid = grid.aligned(stain, image.stain)
        pixels = np.clip(grid.read(Region.whole(grid.shape)) + 0.5, 0, 255).astype(np.uint8)
        place = np.clip(image.nuclei.mapped(1 / grid.step).yx, 0, np.array(grid.shape) - 1)
        rgb.append(cut_patches(pixels, place, side))
        label.append(image.nuclei.label)
        number.append(np.full(len(image.nuclei), index, np.int32))
    return NucleusPatches(np.concatenate(rgb), np.concatenate(label), np.concatenate(number))


def stain_reference(labels: LabelSet, *, mpp: float) -> StainReference:
    """The mean image: every one with tissue counts the same, and every crop as its whole.

    Raises
    ------
    TrainingError
        Where no image holds tissue.
    """
    stains = (
        image.stain or ModelGrid.of(image.source, mpp=image.mpp, model_mpp=mpp).stain()
        for image in labels
    )
    seen = [found for found in stains if found.pixels]
    if not seen:
        raise TrainingError(
            f"None of the {len(labels)} images holds stained tissue, so that there is nothing to "
            "align stains to. Leave align_stain away, or give images of stained tissue."
        )
    mean = np.mean([found.mean for found in seen], axis=0).round(4).tolist()
    std = np.mean([found.std for found in seen], axis=0).round(4).tolist()
    return StainReference(mean=tuple(mean), std=tuple(std))
