"""The Γ-ladder over the patch CNN (section 2.3; Rasmus et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.nets.patch_cnn import PatchCnn, PatchCnnConfig

__all__ = ["EPSILON", "GammaLadder", "GammaLadderConfig", "Level", "Pass", "combine", "normalise"]

EPSILON = 1e-10
BANK = 1 << 23
"""Normal numbers drawn once; each use starts at a random one of them."""


@dataclass(frozen=True)
class GammaLadderConfig:
    """Classes, and the standard deviation of the noise on the input and every layer."""

    classes: int = 3
    noise: float = 0.3


@dataclass
class Level:
    """One level below the top: its z, and the pre-activation that z was normalised from."""

    z: Tensor
    before: Tensor


@dataclass
class Pass:
    """What one run through the encoder leaves at its top, and below it where that is asked for.

    Attributes
    ----------
    logits : (N, K) gamma (z + beta), of which the softmax is taken
    z : (N, K) normalised pre-activation, with noise on the corrupted path
    mean, std : (K,) batch statistics of the top layer of the last group of rows
    below : list of Level
        Input first; empty unless asked for.
    """

    logits: Tensor
    z: Tensor
    mean: Tensor
    std: Tensor
    below: list[Level] = field(default_factory=list)


class GammaLadder(nn.Module):
    """Encoder with batch normalisation and noise, and a decoder for its top layer alone.

    Weights have no bias; normalised activations get a learnt shift beta, and
    only the top layer a scale gamma, after the shift. Labelled and unlabelled
    rows are normalised apart from one another, since their classes are mixed
    differently. Statistics for prediction come from `estimate`, over patches
    on the clean path; `folded` then gives a plain `PatchCnn`.
    """

    patch = 27
    layers = ("conv1", "conv2", "dense1", "dense2", "dense3")

    def __init__(self, config: GammaLadderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GammaLadderConfig()
        k = config.classes
        self.conv1 = nn.Conv2d(3, 36, 4, bias=False)
        self.conv2 = nn.Conv2d(36, 48, 3, bias=False)
        self.dense1 = nn.Linear(48 * 5 * 5, 512, bias=False)
        self.dense2 = nn.Linear(512, 512, bias=False)
        self.dense3 = nn.Linear(512, k, bias=False)
        for name in self.layers:
            width = getattr(self, name).weight.shape[0]
            setattr(self, f"beta_{name}", nn.Parameter(torch.zeros(width)))
            self.register_buffer(f"mean_{name}", torch.zeros(width))
            self.register_buffer(f"var_{name}", torch.ones(width))
        self.gamma = nn.Parameter(torch.ones(k))
        combinator = torch.zeros(10, k)
        combinator[1] = combinator[6] = 1.0  # a2 and a7; z_est is 0 at the start
        self.combinator = nn.Parameter(combinator)

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """Fresh weights: He; ``paper``: N(0, 1e-2). Normalisation undoes the scale of either."""
        with torch.no_grad():
            for name in self.layers:
                weight = getattr(self, name).weight
                std = 1e-2 if recipe == "paper" else (2.0 / weight[0].numel()) ** 0.5
                weight.normal_(0.0, std, generator=generator)

    def encode(
        self,
        x: Tensor,
        *,
        groups: tuple[int, ...],
        noise: float = 0.0,
        generator: torch.Generator | None = None,
        keep: bool = False,
    ) -> Pass:
        """Run the encoder, each group of rows with its own batch statistics.

        Parameters
        ----------
        x : (N, 3, 27, 27)
        groups : tuple of int
            Sizes of the groups, in order of the rows; they add up to N.
        noise : float
            Standard deviation; 0 is the clean path.
        generator : torch.Generator, optional
            Draws the noise.
        keep : bool
            Keep the levels below the top.
        """
        h = _corrupt(x, noise, generator)
        below = [Level(h, x)] if keep else []
        for name in self.layers[:-1]:
            before = getattr(self, name)(h)
            z = _corrupt(normalise(before, groups), noise, generator)
            if keep:
                below.append(Level(z, before))
            h = self._activated(name, z)
        z = self.dense3(h)
        last = z[-groups[-1] :]
        mean, std = last.mean(0), (last.var(0, unbiased=False) + EPSILON).sqrt()
        z = _corrupt(normalise(z, groups), noise, generator)
        return Pass(self.gamma * (z + self._beta("dense3")), z, mean, std, below)

    def denoise(self, corrupted: Pass, rows: slice) -> Tensor:
        """Estimate of the clean top layer from its corrupted one; u is the normalised softmax."""
        u = normalise(F.softmax(corrupted.logits[rows], dim=1), (len(corrupted.z[rows]),))
        return combine(corrupted.z[rows], u, self.combinator)

    def denoising_cost(self, corrupted: Pass, clean: Pass, rows: slice) -> Tensor:
        """Mean square between the estimate, normalised as the clean path was, and the clean z.

        Gradients flow through the clean path as well, as in the original.
        """
        estimate = (self.denoise(corrupted, rows) - clean.mean) / clean.std
        return ((estimate - clean.z) ** 2).mean()

    @torch.no_grad()
    def estimate(self, x: Tensor) -> None:
        """Set the statistics for prediction from (N, 3, 27, 27) patches, clean path."""
        h = x
        for name in self.layers:
            z = getattr(self, name)(h)
            axes = (0, 2, 3) if z.ndim == 4 else (0,)
            getattr(self, f"mean_{name}").copy_(z.mean(axes))
            getattr(self, f"var_{name}").copy_(z.var(axes, unbiased=False))
            z = normalise(z, (len(z),))
            h = self._activated(name, z)

    def folded(self) -> PatchCnn:
        """Plain patch CNN with the same predictions, statistics and shifts in its biases."""
        plain = PatchCnn(PatchCnnConfig(self.config.classes, dropout=0.0))
        with torch.no_grad():
            for name in self.layers:
                weight = getattr(self, name).weight.double()
                std = (getattr(self, f"var_{name}").double() + EPSILON).sqrt()
                scale = 1 / std
                bias = self._beta(name).double() - getattr(self, f"mean_{name}").double() / std
                if name == "dense3":
                    scale, bias = scale * self.gamma.double(), bias * self.gamma.double()
                target = getattr(plain, name)
                shape = (-1, *[1] * (weight.ndim - 1))
                target.weight.copy_(weight * scale.view(shape))
                target.bias.copy_(bias)
        return plain.to(self.gamma.device)

    def _activated(self, name: str, z: Tensor) -> Tensor:
        """ReLU of z + beta, pooled; the maximum is taken first, which is the same and cheaper."""
        if name.startswith("conv"):
            z = F.max_pool2d(z, 2)
        h = F.relu(z + _channels(self._beta(name), z))
        return h.flatten(1) if name == "conv2" else h

    def _beta(self, name: str) -> Tensor:
        beta: Tensor = getattr(self, f"beta_{name}")
        return beta


def combine(z: Tensor, u: Tensor, combinator: Tensor) -> Tensor:
    """Estimate of the clean z from the corrupted one and the signal u from above ("gauss").

    ``mu(u) = a1 sigmoid(a2 u + a3) + a4 u + a5``, v(u) alike with a6 .. a10,
    ``z_est = (z - mu) v + mu``; a1 .. a10 are the rows of `combinator`, one
    value per unit of a dense layer and per channel of a convolution.
    """
    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = (_channels(a, z) for a in combinator)
    mu = a1 * torch.sigmoid(a2 * u + a3) + a4 * u + a5
    v = a6 * torch.sigmoid(a7 * u + a8) + a9 * u + a10
    estimate: Tensor = (z - mu) * v + mu
    return estimate


def _channels(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1) if like.ndim == 4 else values


def _corrupt(x: Tensor, noise: float, generator: torch.Generator | None) -> Tensor:
    if noise == 0.0:
        return x
    return torch.add(x, _normals(x, generator), alpha=noise)


def _normals(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Normal numbers in the shape and memory order of `like`, from the bank at a random place.

    Drawing them costs more than the convolution whose output they corrupt.
    """
    count = like.numel()
    if count > BANK // 2:
        return torch.randn(like.shape, generator=generator).to(like)
    # drawn on the processor, so that a seed means the same everywhere
    start = int(torch.randint(BANK - count, (), generator=generator))
    dense = torch.empty_like(like)  # its strides are those of the memory order
    drawn = _bank(like.device, like.dtype)[start : start + count]
    return drawn.as_strided(dense.shape, dense.stride())


@cache
def _bank(device: torch.device, dtype: torch.dtype) -> Tensor:
    numbers = torch.randn(BANK, generator=torch.Generator().manual_seed(0))
    return numbers.to(device=device, dtype=dtype)


def normalise(z: Tensor, groups: tuple[int, ...]) -> Tensor:
    """Rows of mean 0 and variance 1 within each group, channel by channel."""
    parts = [
        F.batch_norm(rows, None, None, training=True, eps=EPSILON)
        for rows in torch.split(z, list(groups))
    ]
    return torch.cat(parts) if len(parts) > 1 else parts[0]
