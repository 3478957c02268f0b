"""A nucleus classifier of patches that sees the nucleus close by, and its surroundings, at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.nets.residual import ResidualBlock, initialise

__all__ = ["ContextCnn", "ContextCnnConfig"]

WIDTHS = (32, 48, 96, 160)


@dataclass(frozen=True)
class ContextCnnConfig:
    """Number of classes and the dropout before the last layer."""

    classes: int = 3
    dropout: float = 0.3


class ContextCnn(nn.Module):
    """Class logits of 65 x 65 patches; 1,064,515 parameters with three classes.

    Two streams of the same form look at 33 x 33 pixels each: one at the middle
    of the patch as it is (18 µm at 0.55 µm/px), one at the whole patch at half
    its resolution (36 µm), where the gland or the stroma around the nucleus
    shows. Each gives the mean of its features and their value at the nucleus;
    one linear layer reads both.
    """

    patch = 65
    invariant = False

    def __init__(self, config: ContextCnnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ContextCnnConfig()
        self.near = _Stream()
        self.far = _Stream()
        self.dense = nn.Linear(4 * WIDTHS[-1], config.classes)

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """Fresh weights: He; ``paper``: all N(0, 1e-2); biases 0."""
        initialise(self, generator, recipe=recipe)

    @property
    def head(self) -> nn.Linear:
        """The last layer, from features to classes."""
        return self.dense

    def stages(self) -> list[list[nn.Parameter]]:
        """All weights, layer by layer from the output back; the two streams side by side."""
        streams = (self.near, self.far)
        deep = [
            [p for stream in streams for p in stream.blocks[index].parameters()]
            for index in reversed(range(len(self.near.blocks)))
        ]
        first = [p for s in streams for part in (s.stem, s.norm) for p in part.parameters()]
        return [list(self.dense.parameters()), *deep, first]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 65, 65) to (N, classes) logits."""
        return self.classify(self.features(x))

    def shifted(self, x: Tensor) -> Tensor:
        """(N, 3, 69, 69) to (1, N, classes): the middle alone.

        A second look from 2 pixels off changes little in a view of 65, and costs as much again.
        """
        logits: Tensor = self(x[:, :, 2:-2, 2:-2])
        return logits[None]

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, 65, 65) to the (N, 640) that the last layer reads."""
        near = self.near(x[:, :, 16:49, 16:49])
        # the mean of 2 x 2 pixels; the edge is repeated once to make 66 of 65
        far = self.far(F.avg_pool2d(F.pad(x, (0, 1, 0, 1), mode="replicate"), 2))
        return torch.cat([near, far], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """(N, 640) features to (N, classes) logits, with dropout in training."""
        logits: Tensor = self.dense(F.dropout(features, self.config.dropout, self.training))
        return logits


class _Stream(nn.Module):
    """(N, 3, 33, 33) to (N, 320): means, and values in the middle, of 160 features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 5, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in pairwise(WIDTHS))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            h = block(F.max_pool2d(h, 2))  # sides 16, 8, 4
        return torch.cat([h.mean((2, 3)), h[:, :, 1:3, 1:3].mean((2, 3))], dim=1)
