"""Crops that keep the stain of the image that they were cut out of."""

from __future__ import annotations

from dataclasses import replace

from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.types.image import ImageSource
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.stain import StainStatistics
from napari_nucbudget.types.training import TrainConfig

__all__ = ["with_stain"]


def with_stain(labels: LabelSet) -> LabelSet:
    """The label set, each crop with how the whole image is stained.

    A crop full of lymphocytes is darker than its slide. A classifier that aligns stains has
    to learn from it as it will see it: with the slide's alignment, not with one of its own.
    What a crop already says of that stays.
    """
    known: dict[int, StainStatistics] = {}

    def of(whole: ImageSource, mpp: float) -> StainStatistics:
        if id(whole) not in known:
            grid = ModelGrid.of(whole, mpp=mpp, model_mpp=TrainConfig.mpp)
            known[id(whole)] = grid.stain()
        return known[id(whole)]

    return replace(
        labels,
        images=tuple(
            image
            if image.whole is None or image.stain is not None  # cut out of a crop
            else replace(image, stain=of(image.whole, image.mpp))
            for image in labels
        ),
    )
