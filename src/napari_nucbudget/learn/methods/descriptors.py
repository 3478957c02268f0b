"""Learning nucleus types from handcrafted descriptors: seconds, and strong with few labels."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.core.logistic import fit_logistic
from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.models.classifier import SHIFT, Classifier
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["DescriptorsMethod"]


class DescriptorsMethod(SupervisedMethod):
    """Logistic regression on `core.descriptors`, all labels in every step.

    The descriptors are standardised over up to 2,048 nuclei of the training
    images, labelled or not. The strength of the L2 penalty is the one with the
    least cross entropy in five folds of the labels. The loss is convex, mean
    cross entropy plus ``|W|^2 / (2 C N)``, as in scikit-learn.
    """

    def __init__(
        self,
        train: LabelSet,
        validation: LabelSet,
        config: TrainConfig,
        parent: Classifier | None = None,
    ) -> None:
        if config.architecture not in ("auto", "descriptors"):
            raise TrainingError(
                f"The method 'descriptors' has a network of its own, not {config.architecture}."
            )
        super().__init__(train, validation, config, parent)
        self._penalty = 0.0
        self._features: Tensor | None = None

    def _architecture(self) -> str:
        return "descriptors"

    def network(self) -> nn.Module:
        """The linear layer at 0, the descriptors standardised, the penalty chosen."""
        network = cast(Any, super().network())
        network.pixel_mean.copy_(torch.tensor(self._input.mean))
        network.pixel_std.copy_(torch.tensor(self._input.std))
        cpu = torch.device("cpu")
        network.standardise(self._tensor(self._statistics(), cpu))
        middle = self._labelled[:, SHIFT:-SHIFT, SHIFT:-SHIFT]
        self._features = network.features(self._tensor(middle, cpu))
        chosen = fit_logistic(self._features.double().numpy(), self._label, seed=self.config.seed)
        self._penalty = 1.0 / (2.0 * chosen.C * len(self._label))
        return cast(nn.Module, network)

    def batch(self, rng: np.random.Generator) -> Any:
        """Nothing to draw: every step sees all labels."""
        return None

    def loss(self, network: nn.Module, batch: Any, device: torch.device) -> dict[str, Tensor]:
        """Cross entropy of all labelled nuclei, and the penalty."""
        assert self._features is not None
        features = self._features.to(device)
        logits = cast(Any, network).classify(features)
        supervised = F.cross_entropy(logits.float(), torch.from_numpy(self._label).to(device))
        penalty = self._penalty * cast(Any, network).head.weight.square().sum()
        return {
            "total": supervised + penalty,
            "supervised": supervised.detach(),
            "penalty": penalty.detach(),
        }
