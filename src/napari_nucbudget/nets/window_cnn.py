"""The nucleus classifier for daily use: one pass over a window types every nucleus in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.nets.residual import ResidualBlock, initialise

__all__ = ["WindowCnn", "WindowCnnConfig"]

WIDTHS = (32, 48, 96, 128, 104)
"""Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the resolution."""
DEPTHS = (1, 1, 2, 2, 1)
"""Residual blocks at each."""
FEATURES = 192
STRIDE = 4
"""Pixels that one place of the map stands for."""


@dataclass(frozen=True)
class WindowCnnConfig:
    """Number of classes and the dropout before the last layer."""

    classes: int = 3
    dropout: float = 0.3


class WindowCnn(nn.Module):
    """Class logits at any places of a window; 1,193,572 parameters with three classes.

    A residual encoder (He et al. 2016) halves the resolution five times. What each level
    from a quarter to a thirty-second says about a place is brought to 192 channels and
    added up there (hypercolumns, Hariharan et al. 2015): the nucleus itself, the cells
    around it, the gland. One linear layer reads the sum, normalised for each nucleus. A
    second one (`find`) tells where nuclei are: learning that first, which needs no class,
    makes the features better; typing does without it.

    Windows of any size whose sides are multiples of 32 will do. `patch` is the side, and
    `core` the side of the middle of it whose nuclei are typed in one pass.
    """

    patch = 704
    core = 512
    takes_windows = True
    invariant = False

    def __init__(self, config: WindowCnnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or WindowCnnConfig()
        self.stem = nn.Conv2d(3, WIDTHS[0], 6, stride=2, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        sizes = zip((WIDTHS[0], *WIDTHS), WIDTHS, DEPTHS, strict=False)
        self.levels = nn.ModuleList(_level(before, width, depth) for before, width, depth in sizes)
        self.readouts = nn.ModuleList(nn.Conv2d(width, FEATURES, 1) for width in WIDTHS[1:])
        self.feature_norm = nn.LayerNorm(FEATURES)
        self.dense = nn.Linear(FEATURES, config.classes)
        self.find = nn.Conv2d(FEATURES, 1, 1)

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """Fresh weights: He, half of it in the last layer; ``paper``: all N(0, 1e-2); biases 0."""
        initialise(self, generator, recipe=recipe)
        if recipe != "paper":
            with torch.no_grad():
                self.dense.weight.mul_(0.5)

    @property
    def head(self) -> nn.Linear:
        """The last layer, from features to classes."""
        return self.dense

    def stages(self) -> list[list[nn.Parameter]]:
        """All weights, layer by layer from the output back."""
        side = (self.feature_norm, self.find, self.readouts)
        reading = [p for part in side for p in part.parameters()]
        deep = [list(level.parameters()) for level in reversed(self.levels)]
        first = [*self.stem.parameters(), *self.norm.parameters()]
        return [list(self.dense.parameters()), reading, *deep, first]

    def forward(self, x: Tensor, window: Tensor, yx: Tensor) -> Tensor:
        """(W, 3, h, w) windows, and R places, to (R, classes) logits.

        Parameters
        ----------
        x : (W, 3, h, w)
        window : (R,) integers, which window a place lies in
        yx : (R, 2) floats, pixels of the window
        """
        size = (x.shape[2], x.shape[3])
        return self.classify(self.features(self.packed(x), size, window, yx))

    def maps(self, x: Tensor) -> Tensor:
        """(W, 3, h, w) to (W, 192, h / 4, w / 4)."""
        size = (x.shape[2] // STRIDE, x.shape[3] // STRIDE)
        first, *others = [
            readout(h) for readout, h in zip(self.readouts, self.encode(x), strict=True)
        ]
        total: Tensor = first
        for read in others:
            total = total + F.interpolate(read, size=size, mode="bilinear")
        return total

    def encode(self, x: Tensor) -> list[Tensor]:
        """(W, 3, h, w) to what the levels from 1/4 to 1/32 say, each (W, C, its h, its w)."""
        h: Tensor = self.levels[0](F.relu(self.norm(self.stem(x)), inplace=True))
        found = []
        for level in self.levels[1:]:
            h = level(F.max_pool2d(h, 2))
            found.append(h)
        return found

    def packed(self, x: Tensor) -> Tensor:
        """`encode` as one (W, L) tensor, level after level, each (its h, its w, C)."""
        return torch.cat([h.permute(0, 2, 3, 1).flatten(1) for h in self.encode(x)], dim=1)

    def features(self, packed: Tensor, size: tuple[int, int], window: Tensor, yx: Tensor) -> Tensor:
        """The (R, 192) that the last layer reads: `maps` between its pixels, normalised.

        From the `packed` levels of windows of that size: a 1 x 1 layer may as well come after what
        lies between pixels, so that 192 channels are summed up at the places alone.
        """
        total: Tensor | None = None
        start = 0
        for number, layer in enumerate(self.readouts):
            readout = cast(nn.Conv2d, layer)
            stride = STRIDE << number
            height, width = size[0] // stride, size[1] // stride
            stop = start + height * width * WIDTHS[number + 1]
            level = packed[:, start:stop].view(-1, height, width, WIDTHS[number + 1])
            (y, down), (x, right) = (
                _between(yx[:, axis], count, stride) for axis, count in enumerate((height, width))
            )
            around = level[window[:, None, None], y[:, :, None], x[:, None, :]].float()
            share = down[:, :, None, None] * right[:, None, :, None]
            here = (around * share).sum((1, 2))
            read = F.linear(here, readout.weight.flatten(1), readout.bias)
            total = read if total is None else total + read
            start = stop
        assert total is not None
        return F.relu(self.feature_norm(total))

    def classify(self, features: Tensor) -> Tensor:
        """(R, 192) features to (R, classes) logits, with dropout in training."""
        logits: Tensor = self.dense(F.dropout(features, self.config.dropout, self.training))
        return logits


def _level(before: int, width: int, depth: int) -> nn.Sequential:
    widths = [before, *[width] * depth]
    return nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(widths)))


def _between(at: Tensor, count: int, stride: int) -> tuple[Tensor, Tensor]:
    """(R, 4) indices into a level along one axis and their weights, for (R,) pixels.

    Between two places of `maps`, each of which lies between two of the level.
    """
    factor = stride // STRIDE
    last = count * factor - 1
    place = ((at - (STRIDE - 1) / 2) / STRIDE).clamp(0, last)
    low = place.floor().clamp(max=last - 1)
    step = torch.stack([low, low + 1], dim=1)  # (R, 2)
    share = torch.stack([1 - (place - low), place - low], dim=1)
    source = ((step + 0.5) / factor - 0.5).clamp(0, count - 1)
    before = source.floor()
    part = source - before
    index = torch.stack([before, (before + 1).clamp(max=count - 1)], dim=2)  # (R, 2, 2)
    weight = torch.stack([1 - part, part], dim=2) * share[:, :, None]
    return index.long().flatten(1), weight.flatten(1)
