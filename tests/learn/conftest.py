"""A small drawn label set: dark discs on pink, every one of them dotted."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.training import TrainConfig


def drawn_image(name: str, split: str, seed: int, side: int = 72) -> AnnotatedImage:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid([12, 36, 60], [12, 36, 60], indexing="ij"), -1).reshape(-1, 2)
    dots = grid + rng.integers(-4, 5, grid.shape)
    rgb = np.full((side, side, 3), (230, 180, 215), np.float64)
    rows, columns = np.indices((side, side))
    for y, x in dots:
        rgb[(rows - y) ** 2 + (columns - x) ** 2 <= 25] = (90, 50, 130)
    rgb = np.clip(rgb + rng.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    return AnnotatedImage(
        source=ArraySource(rgb, mpp=0.55, name=name),
        nuclei=Nuclei.from_points(dots),
        fields=(Region(0, 0, side, side),),
        split=split,
        dataset="drawn",
        origin=Provenance("drawn discs", licence="CC0"),
    )


@pytest.fixture
def train_set() -> LabelSet:
    images = tuple(drawn_image(f"t{i}", "train", i) for i in range(2))
    return LabelSet(images, DEFAULT_CLASSES, (Provenance("drawn discs", licence="CC0"),))


@pytest.fixture
def validation_set() -> LabelSet:
    images = (drawn_image("v0", "validation", 9),)
    return LabelSet(images, DEFAULT_CLASSES, (Provenance("drawn discs", licence="CC0"),))


@pytest.fixture
def quick() -> TrainConfig:
    return TrainConfig(steps=4, steps_per_epoch=2, crop=48, precision="float32", threads=1)
