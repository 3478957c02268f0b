"""Learning nucleus types from few labels and many unlabelled nuclei: the full ladder."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_nucbudget.learn.methods.gamma_ladder import GammaLadderMethod
from napari_nucbudget.nets.full_ladder import LEVELS, FullLadder
from napari_nucbudget.nets.ladder import GammaLadder, GammaLadderConfig, Pass

__all__ = ["LadderMethod"]


class LadderMethod(GammaLadderMethod):
    """The Γ-ladder with a denoising cost at every level (section 5's future work).

    With `TrainConfig.ladder_weights` all zero it is `GammaLadderMethod`, to
    the bit.
    """

    def network(self) -> torch.nn.Module:
        """The network to train, fresh."""
        network = FullLadder(GammaLadderConfig(len(self.classes), self.config.noise))
        generator = torch.Generator().manual_seed(self.config.seed)
        network.initialise(generator, recipe=self.config.recipe)
        return network

    def _denoises(self) -> bool:
        return super()._denoises() or self._descends()

    def _descends(self) -> bool:
        return any(self.config.ladder_weights)

    def _denoising(
        self, network: GammaLadder, corrupted: Pass, clean: Pass, rows: slice
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self._descends():
            return super()._denoising(network, corrupted, clean, rows)
        assert isinstance(network, FullLadder)
        weights = dict(zip(LEVELS, self.config.ladder_weights, strict=True))
        lowest = next(i for i, name in enumerate(LEVELS) if weights[name] > 0)
        costs = network.denoising_costs(corrupted, clean, rows, lowest=lowest)
        weighted = self.config.denoising_weight * costs["dense3"]
        for name in LEVELS[lowest:]:
            weighted = weighted + weights[name] * costs[name]
        report = {f"denoising_{name}": cost.detach() for name, cost in costs.items()}
        return weighted, {"denoising": weighted.detach(), **report}
