"""Nuclei whose class is known, as classifiers of either kind take them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.infer.classify import iter_known
from napari_nucbudget.models.classifier import SHIFT, Classifier
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.progress import result_of

__all__ = ["KnownNuclei", "NucleiInImages", "NucleiInPatches"]

LEAST = 1e-12
"""Probability below which a logarithm says no more."""


class KnownNuclei(Protocol):
    """N nuclei with a class.

    Attributes
    ----------
    label : (N,) int16
    image : (N,) whole numbers, index of the image
    """

    label: NDArray[np.int16]
    image: NDArray[Any]

    def probabilities(self, model: Classifier, *, average: bool = True) -> NDArray[np.float32]:
        """(N, C), see `Classifier.probabilities`."""
        ...

    def logits(self, model: Classifier) -> NDArray[np.float32]:
        """(N, C) of a look at each, up to a constant a nucleus."""
        ...


class NucleiInPatches:
    """For classifiers of patches: (N, patch + 4, patch + 4, 3) `wide` around them."""

    def __init__(self, wide: NDArray[Any], label: NDArray[np.int16], image: NDArray[Any]) -> None:
        self.wide, self.label, self.image = wide, label, image

    def probabilities(self, model: Classifier, *, average: bool = True) -> NDArray[np.float32]:
        """(N, C), see `Classifier.probabilities`."""
        return model.probabilities(self.wide, average=average)

    def logits(self, model: Classifier) -> NDArray[np.float32]:
        """(N, C) of the middle of each."""
        return model.logits(self.wide[:, SHIFT:-SHIFT, SHIFT:-SHIFT])


class NucleiInImages:
    """For classifiers of windows: read from the images anew each time."""

    def __init__(self, labels: LabelSet) -> None:
        self._images = [image for image in labels if (image.nuclei.label >= 0).any()]
        label = [image.nuclei.label[image.nuclei.label >= 0] for image in self._images]
        self.label = np.concatenate([np.zeros(0, np.int16), *label])
        self.image = np.repeat(np.arange(len(label), dtype=np.int32), [len(one) for one in label])

    def probabilities(self, model: Classifier, *, average: bool = True) -> NDArray[np.float32]:
        """(N, C), see `infer.classify.iter_classify`."""
        return result_of(iter_known(self._images, model, average=average))

    def logits(self, model: Classifier) -> NDArray[np.float32]:
        """(N, C) logarithms of the probabilities, of a model without a temperature."""
        assert model.card.temperature is None
        prob = self.probabilities(model, average=False)
        logits: NDArray[np.float32] = np.log(np.maximum(prob, LEAST))
        return logits
