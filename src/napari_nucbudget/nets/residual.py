"""What the classifier networks of our own design share: their block, and how weights begin."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["ResidualBlock", "initialise", "without_norms"]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, the second around a shortcut (He et al. 2016)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(h)).add_(h), inplace=True)


def without_norms(network: nn.Module) -> nn.Module:
    """A copy for prediction: what batch norms do in evaluation mode is in the convolutions."""
    plain = copy.deepcopy(network).eval()
    for module in list(plain.modules()):
        for conv, norm in (("stem", "norm"), ("conv1", "norm1"), ("conv2", "norm2")):
            if isinstance(getattr(module, norm, None), nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
                setattr(module, conv, fused)
                setattr(module, norm, nn.Identity())
    return plain


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator, *, recipe: str) -> None:
    """Fresh weights: He; ``paper``: all N(0, 1e-2); biases 0."""
    for layer in network.modules():
        if not isinstance(layer, (nn.Conv2d, nn.Linear)):
            continue
        std = 1e-2 if recipe == "paper" else (2.0 / layer.weight[0].numel()) ** 0.5
        layer.weight.normal_(0.0, std, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
