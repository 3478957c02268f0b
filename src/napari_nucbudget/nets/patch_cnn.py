"""The nucleus classifier: a CNN on 27 x 27 patches (Sirinukunwattana et al. 2016, table II)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PatchCnn", "PatchCnnConfig"]


@dataclass(frozen=True)
class PatchCnnConfig:
    """Number of classes and the dropout of the two hidden layers."""

    classes: int = 3
    dropout: float = 0.2


class PatchCnn(nn.Module):
    """Class logits of 27 x 27 patches; 896,471 parameters with three classes.

    conv 4x4 to 36, ReLU, 2x2 max-pool; conv 3x3 to 48, ReLU, pool; two fully
    connected layers of 512 with ReLU and dropout; one to the classes.
    """

    patch = 27
    invariant = False

    def __init__(self, config: PatchCnnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PatchCnnConfig()
        self.conv1 = nn.Conv2d(3, 36, 4)
        self.conv2 = nn.Conv2d(36, 48, 3)
        self.dense1 = nn.Linear(48 * 5 * 5, 512)
        self.dense2 = nn.Linear(512, 512)
        self.dense3 = nn.Linear(512, config.classes)

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """Fresh weights: He; ``paper``: all N(0, 1e-2); biases 0."""
        with torch.no_grad():
            for layer in (self.conv1, self.conv2, self.dense1, self.dense2, self.dense3):
                std = 1e-2 if recipe == "paper" else (2.0 / layer.weight[0].numel()) ** 0.5
                layer.weight.normal_(0.0, std, generator=generator)
                assert layer.bias is not None
                layer.bias.zero_()

    @property
    def head(self) -> nn.Linear:
        """The last layer, from features to classes."""
        return self.dense3

    def stages(self) -> list[list[nn.Parameter]]:
        """All weights, layer by layer from the output back."""
        layers = (self.dense3, self.dense2, self.dense1, self.conv2, self.conv1)
        return [list(layer.parameters()) for layer in layers]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 27, 27) to (N, classes) logits."""
        return self.classify(self.features(x))

    def shifted(self, x: Tensor) -> Tensor:
        """(N, 3, 31, 31) to (5, N, classes): the middle 27 x 27, and 2 pixels off on each side.

        A shift by two pixels is one by a single value after the first pooling,
        so that the five share both convolutions. For prediction only.
        """
        h = F.relu(F.max_pool2d(self.conv1(x), 2))  # (N, 36, 14, 14)
        h = self.conv2(h)  # (N, 48, 12, 12)
        places = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
        pooled = [
            F.relu(F.max_pool2d(h[:, :, y : y + 10, left : left + 10], 2)).flatten(1)
            for y, left in places
        ]
        h = F.relu(self.dense2(F.relu(self.dense1(torch.cat(pooled)))))
        logits: Tensor = self.dense3(h)
        return logits.reshape(len(places), -1, logits.shape[-1])

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, 27, 27) to the (N, 512) that the last layer reads."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (N, 36, 12, 12)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, 48, 5, 5)
        x = x.flatten(1)
        x = F.dropout(F.relu(self.dense1(x)), self.config.dropout, self.training)
        return F.relu(self.dense2(x))

    def classify(self, features: Tensor) -> Tensor:
        """(N, 512) features to (N, classes) logits, with dropout in training."""
        logits: Tensor = self.dense3(F.dropout(features, self.config.dropout, self.training))
        return logits
