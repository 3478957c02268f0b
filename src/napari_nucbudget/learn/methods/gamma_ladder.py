"""Learning nucleus types from few labels and many unlabelled nuclei: the Γ-ladder (2.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.nets.ladder import GammaLadder, Pass
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["GammaLadderMethod"]


class GammaLadderMethod(SupervisedMethod):
    """Cross entropy of labelled patches on the corrupted path, plus the top layer's
    denoising cost of unlabelled ones, whose target is the clean path.

    With a denoising weight of 0 and no noise it is `SupervisedMethod`, to the bit.
    """

    def __init__(
        self,
        train: LabelSet,
        validation: LabelSet,
        config: TrainConfig,
        parent: Classifier | None = None,
    ) -> None:
        if config.architecture not in ("auto", "patch-cnn"):
            raise TrainingError(
                f"The method {config.method!r} is built over patch-cnn, not over "
                f"{config.architecture}; 'fixmatch' learns from unlabelled nuclei with any network."
            )
        if not config.batch_norm:
            raise TrainingError("The Γ-ladder is built on batch normalisation: batch_norm = true.")
        super().__init__(train, validation, config, parent)

    def batch(self, rng: np.random.Generator) -> Any:
        """As the supervised batch, and (U, 27, 27, 3) unlabelled patches at the end."""
        labelled = super().batch(rng)
        which = rng.integers(len(self._pool), size=self.config.unlabelled_batch)
        return *labelled, self._augmented(self._pool[which], rng)

    def loss(self, network: torch.nn.Module, batch: Any, device: torch.device) -> dict[str, Tensor]:
        assert isinstance(network, GammaLadder)
        pixels, label, seed, unlabelled = batch
        config = self.config
        x = self._tensor(pixels, device)
        groups: tuple[int, ...] = (len(pixels),)
        rows = slice(len(pixels), None)
        if self._denoises():
            u = self._tensor(unlabelled, device)
            x, groups = torch.cat([x, u]), (len(pixels), len(unlabelled))
        generator = torch.Generator().manual_seed(seed)
        keep = self._descends()
        corrupted = network.encode(
            x, groups=groups, noise=config.noise, generator=generator, keep=keep
        )
        supervised = _cross_entropy(corrupted.logits[: len(pixels)], label, device)
        if not self._denoises():
            return {"total": supervised, "supervised": supervised.detach()}
        clean = network.encode(u, groups=(len(u),), keep=keep)
        weighted, costs = self._denoising(network, corrupted, clean, rows)
        return {"total": supervised + weighted, "supervised": supervised.detach(), **costs}

    def _denoises(self) -> bool:
        """Whether unlabelled rows count at all."""
        return self.config.denoising_weight > 0

    def _descends(self) -> bool:
        """Whether levels below the top are denoised."""
        return False

    def _denoising(
        self, network: GammaLadder, corrupted: Pass, clean: Pass, rows: slice
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted cost of the top layer, and the cost itself to report."""
        cost = network.denoising_cost(corrupted, clean, rows)
        return self.config.denoising_weight * cost, {"denoising": cost.detach()}


def _cross_entropy(logits: Tensor, label: NDArray[np.int64], device: torch.device) -> Tensor:
    return F.cross_entropy(logits.float(), torch.from_numpy(label).to(device))
