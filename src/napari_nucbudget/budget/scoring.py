"""Scoring many classifiers on the same nuclei: patches are cut once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.class_metrics import class_scores
from napari_nucbudget.core.patches import cut_patches
from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.infer.classify import NO_CLASS
from napari_nucbudget.infer.known_nuclei import KnownNuclei, NucleiInImages, NucleiInPatches
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.models.classifier import SHIFT, Classifier
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import LabelSet

__all__ = ["NucleiToScore"]


class NucleiToScore:
    """The nuclei of a label set that have a class, with wide patches around them.

    `score` gives what `infer.classify.evaluate_classifier` gives, of classifiers with that
    pixel size, patch and stain. Without a patch it is for classifiers that take windows, which
    read them from the images.
    """

    def __init__(
        self,
        labels: LabelSet,
        *,
        mpp: float,
        patch: int | None,
        stain: StainReference | None = None,
    ) -> None:
        self.classes, self.mpp = labels.classes, mpp
        self.nuclei: KnownNuclei
        if patch is None:
            self.nuclei = NucleiInImages(labels)
            if not len(self.nuclei.label):
                raise LabelSetError(NO_CLASS.format(count=len(labels)))
            return
        side = patch + 2 * SHIFT
        wide, truth, number = [], [], []
        for index, image in enumerate(labels):
            known = image.nuclei.select(image.nuclei.label >= 0)
            if not len(known):
                continue
            grid = ModelGrid.of(image.source, mpp=image.mpp, model_mpp=mpp)
            grid = grid.aligned(stain, image.stain)
            place = np.clip(known.mapped(1 / grid.step).yx, 0, np.array(grid.shape) - 1)
            cut = cut_patches(grid.read(Region.whole(grid.shape)), place, side)
            whole = cut.astype(np.uint8)  # unscaled images are whole numbers: a quarter of the room
            wide.append(whole if np.array_equal(whole, cut) else cut)
            truth.append(known.label)
            number.append(np.full(len(known), index))
        if not truth:
            raise LabelSetError(NO_CLASS.format(count=len(labels)))
        self.wide: NDArray[Any] = np.concatenate(wide)
        self.nuclei = NucleiInPatches(self.wide, np.concatenate(truth), np.concatenate(number))

    @property
    def label(self) -> NDArray[np.int16]:
        """(N,) classes."""
        return self.nuclei.label

    def score(self, classifier: Classifier, *, average: bool = True) -> ClassScores:
        """Scores of a classifier; `average` over turns and shifts as when it is used."""
        return self.score_probabilities(self.nuclei.probabilities(classifier, average=average))

    def score_probabilities(self, prob: NDArray[np.floating[Any]]) -> ClassScores:
        """Scores of (N, C) probabilities."""
        nuclei = self.nuclei
        return class_scores(prob, nuclei.label, nuclei.image, classes=self.classes, mpp=self.mpp)
