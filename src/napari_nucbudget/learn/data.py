"""Labelled images at the model's pixel size, ready to be cropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.proximity import proximity_map
from napari_nucbudget.errors import TrainingError
from napari_nucbudget.infer.detect import ModelGrid
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet

__all__ = ["PIXEL_MEAN", "PIXEL_STD", "DetectionImage", "Sampler", "detection_images"]

PIXEL_MEAN = (0.78, 0.62, 0.76)
PIXEL_STD = (0.2, 0.2, 0.2)
"""Normalisation of rgb / 255: rounded statistics of H&E at 20x; fixed, so that tiles agree."""


@dataclass(frozen=True, eq=False)
class DetectionImage:
    """One image on the model's grid with its proximity map and its fields."""

    rgb: NDArray[np.uint8]  # (h, w, 3)
    target: NDArray[np.float32]  # (h, w), equation 1
    inside: NDArray[np.bool_]  # (h, w), where the target is known
    fields: tuple[Region, ...]


def detection_images(
    labels: LabelSet, *, mpp: float, alpha: float, d_max_um: float
) -> list[DetectionImage]:
    """Images rescaled to `mpp` by their own pixel size, with targets.

    Raises
    ------
    TrainingError
        Where no field holds a dot.
    """
    images = [_on_grid(image, mpp, alpha, d_max_um / mpp) for image in labels]
    if not any(image.target.any() for image in images):
        raise TrainingError(
            f"No dot lies in a field of the {len(labels)} images; a detector needs at least one "
            "field in which every nucleus is dotted."
        )
    return images


def _on_grid(image: AnnotatedImage, mpp: float, alpha: float, d_max: float) -> DetectionImage:
    grid = ModelGrid.of(image.source, mpp=image.mpp, model_mpp=mpp)
    rgb = np.clip(grid.read(Region.whole(grid.shape)) + 0.5, 0, 255).astype(np.uint8)
    fields = tuple(grid.region(field) for field in image.fields)
    inside = np.zeros(grid.shape, dtype=bool)
    for field in fields:
        inside[field.slices] = True
    dots = image.nuclei.mapped(1 / grid.step).yx
    target = proximity_map(dots, grid.shape, alpha=alpha, d_max=d_max)
    return DetectionImage(rgb, target, inside, fields)


class Sampler:
    """Draws crops at random places inside the fields, each field as often as it is large.

    No crop reaches beyond a field that is larger than it, so that pixels at a field's edge come
    less often than those in its middle. One that reaches beyond its image is filled by
    mirroring, and those pixels, like all outside the fields, do not count in the loss.
    """

    def __init__(self, images: list[DetectionImage], crop: int) -> None:
        self._crop = crop
        self._places = [(image, field) for image in images for field in image.fields]
        area = np.array([field.area for _, field in self._places], dtype=float)
        self._chance = area / area.sum()

    def draw(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
        """(crop, crop, 3) pixels, (crop, crop) target and (crop, crop) "is known"."""
        image, field = self._places[rng.choice(len(self._places), p=self._chance)]
        window = Region(
            _start(field.y, field.height, self._crop, rng),
            _start(field.x, field.width, self._crop, rng),
            self._crop,
            self._crop,
        )
        return (
            _cut(image.rgb, window, "symmetric"),
            _cut(image.target, window, "constant"),
            _cut(image.inside, window, "constant"),
        )


def _start(start: int, length: int, crop: int, rng: np.random.Generator) -> int:
    """Random start of a window that lies in the field, or holds it if it is the smaller."""
    low, high = sorted((start, start + length - crop))
    return int(rng.integers(low, high + 1))


def _cut(array: NDArray[Any], window: Region, mode: Any) -> NDArray[Any]:
    part = window.clipped((array.shape[0], array.shape[1]))
    cut = array[part.slices]
    if part == window:
        return cut
    pads = [
        (part.y - window.y, window.bottom - part.bottom),
        (part.x - window.x, window.right - part.right),
    ] + [(0, 0)] * (array.ndim - 2)
    return np.pad(cut, pads, mode=mode)
