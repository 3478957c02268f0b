"""Handcrafted descriptors and one linear layer: the classifier for the first few labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_nucbudget.core.descriptors import DESCRIPTOR_SIDE, describe, descriptor_names

__all__ = ["DescriptorLinear", "DescriptorLinearConfig"]


@dataclass(frozen=True)
class DescriptorLinearConfig:
    """Number of classes."""

    classes: int = 3


class DescriptorLinear(nn.Module):
    """Class logits of 31 x 31 patches, linear in the 74 numbers of `core.descriptors`.

    Only the last layer is learnt. The descriptors are computed with numpy on
    the processor and standardised by the buffers `mean` and `std`; as they do
    not change when a patch is turned or mirrored, one look is enough.
    """

    patch = DESCRIPTOR_SIDE
    invariant = True

    def __init__(self, config: DescriptorLinearConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DescriptorLinearConfig()
        count = len(descriptor_names())
        self.register_buffer("pixel_mean", torch.zeros(3))
        self.register_buffer("pixel_std", torch.ones(3))
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))
        self.dense = nn.Linear(count, config.classes)

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """All weights 0: the problem is convex, and its start does not matter."""
        with torch.no_grad():
            self.dense.weight.zero_()
            self.dense.bias.zero_()

    @torch.no_grad()
    def standardise(self, x: Tensor) -> None:
        """Take the mean and spread of the descriptors from (N, 3, 31, 31) patches."""
        raw = self._described(x)
        self.get_buffer("mean").copy_(raw.mean(0))
        self.get_buffer("std").copy_(raw.std(0, unbiased=False).clamp(min=1e-6))

    @property
    def head(self) -> nn.Linear:
        """The last layer, from features to classes."""
        return self.dense

    def stages(self) -> list[list[nn.Parameter]]:
        """All weights, layer by layer from the output back."""
        return [list(self.dense.parameters())]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 31, 31) to (N, classes) logits."""
        return self.classify(self.features(x))

    def shifted(self, x: Tensor) -> Tensor:
        """(N, 3, 35, 35) to (1, N, classes): the middle alone."""
        return self.classify(self.features(x[:, :, 2:-2, 2:-2]))[None]

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, 31, 31) to the (N, 74) that the last layer reads."""
        with torch.no_grad():
            return (self._described(x) - self.get_buffer("mean")) / self.get_buffer("std")

    def classify(self, features: Tensor) -> Tensor:
        """(N, 74) features to (N, classes) logits."""
        logits: Tensor = self.dense(features)
        return logits

    def _described(self, x: Tensor) -> Tensor:
        """(N, 74) descriptors of the pixels behind a normalised input."""
        pixels = x.permute(0, 2, 3, 1) * self.get_buffer("pixel_std") + self.get_buffer(
            "pixel_mean"
        )
        rgb = (255.0 * pixels).clamp(0, 255).cpu().double().numpy()
        return torch.from_numpy(describe(rgb)).to(x.device)
