"""The full ladder over the patch CNN: every level is denoised (Rasmus et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.nets.ladder import (
    EPSILON,
    GammaLadder,
    GammaLadderConfig,
    Level,
    Pass,
    combine,
    normalise,
)

__all__ = ["LEVELS", "FullLadder"]

LEVELS = ("input", "conv1", "conv2", "dense1", "dense2")
"""Levels below the top, from the input up; the weights of their costs come in this order."""


class FullLadder(GammaLadder):
    """The Γ-ladder with a decoder that goes on down to the input.

    Each layer has an inverse with weights of its own: a dense layer another
    dense layer, a convolution the transposed one (from 10 x 10 to 12 x 12, and
    from 24 x 24 to 27 x 27), a 2 x 2 max-pool the copy of each value to its
    four places. What comes down is batch-normalised, and a combinator, per
    unit or per channel, joins it with the noisy z beside it. The encoder is
    the Γ-ladder's; unlike in the original, pooling layers are therefore no
    levels of their own, with neither noise nor cost.
    """

    def __init__(self, config: GammaLadderConfig | None = None) -> None:
        super().__init__(config)
        self.back_dense3 = nn.Linear(self.config.classes, 512, bias=False)
        self.back_dense2 = nn.Linear(512, 512, bias=False)
        self.back_dense1 = nn.Linear(512, 48 * 5 * 5, bias=False)
        self.back_conv2 = nn.ConvTranspose2d(48, 36, 3, bias=False)
        self.back_conv1 = nn.ConvTranspose2d(36, 3, 4, bias=False)
        for name, width in zip(LEVELS, (3, 36, 48, 512, 512), strict=True):
            vectors = torch.zeros(10, width)
            vectors[1] = vectors[6] = 1.0
            setattr(self, f"combinator_{name}", nn.Parameter(vectors))

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """The Γ-ladder's weights, then those of the way down; normalisation undoes their scale."""
        super().initialise(generator, recipe=recipe)
        with torch.no_grad():
            for name in reversed(self.layers):
                weight = getattr(self, f"back_{name}").weight
                fan_in = weight[0].numel() if weight.ndim == 2 else weight[:, 0].numel()
                weight.normal_(0.0, fan_in**-0.5, generator=generator)

    def denoising_costs(
        self, corrupted: Pass, clean: Pass, rows: slice, *, lowest: int = 0
    ) -> dict[str, Tensor]:
        """Mean squares between estimates and clean z, the top (``dense3``) first.

        Parameters
        ----------
        corrupted, clean : Pass
            With their levels kept; `clean` holds the unlabelled rows alone.
        rows : slice
            The unlabelled rows of `corrupted`.
        lowest : int
            Index in `LEVELS` at which to stop.
        """
        estimate = self.denoise(corrupted, rows)
        top = (estimate - clean.mean) / clean.std
        costs = {"dense3": ((top - clean.z) ** 2).mean()}
        for index in range(len(LEVELS) - 1, lowest - 1, -1):
            u = self.back(self.layers[index], estimate)
            u = normalise(u, (len(u),))
            name, level = LEVELS[index], clean.below[index]
            vectors = getattr(self, f"combinator_{name}")
            estimate = combine(corrupted.below[index].z[rows], u, vectors)
            scaled = estimate if name == "input" else _as_normalised(estimate, level)
            costs[name] = ((scaled - level.z) ** 2).mean()
        return costs

    def back(self, layer: str, estimate: Tensor) -> Tensor:
        """The inverse of an encoder's layer and of the pool before it, if any."""
        down: Tensor = getattr(self, f"back_{layer}")(estimate)
        if layer == "conv2":  # (N, 36, 12, 12)
            return F.interpolate(down, scale_factor=2, mode="nearest")
        if layer == "dense1":  # (N, 1200)
            return F.interpolate(down.view(-1, 48, 5, 5), scale_factor=2, mode="nearest")
        return down


def _as_normalised(estimate: Tensor, level: Level) -> Tensor:
    """The estimate shifted and scaled as the clean path's z was, gradients included."""
    axes = (0, 2, 3) if estimate.ndim == 4 else (0,)
    mean = level.before.mean(axes, keepdim=True)
    std = (level.before.var(axes, unbiased=False, keepdim=True) + EPSILON).sqrt()
    return (estimate - mean) / std
