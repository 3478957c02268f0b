"""What the detector networks share: how layers begin, and how normalisations fold away."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["as_weights", "copy_folded", "initialise"]


def as_weights(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """`x` in the type of the layer's weights; under autocast as it is, which chooses by itself."""
    return x if torch.is_autocast_enabled(x.device.type) else x.to(layer.weight.dtype)


@torch.no_grad()
def initialise(
    layers: Iterable[nn.Conv2d], last: nn.Conv2d, generator: torch.Generator, *, recipe: str
) -> None:
    """Fresh weights: He, the last layer N(0, 1e-3); ``paper``: all N(0, 1e-2), biases 0."""
    for layer in layers:
        std = (2.0 / layer.weight[0].numel()) ** 0.5
        if recipe == "paper":
            std = 1e-2
        elif layer is last:
            std = 1e-3
        layer.weight.normal_(0.0, std, generator=generator)
        assert layer.bias is not None
        layer.bias.zero_()


@torch.no_grad()
def copy_folded(source: nn.Conv2d, norm: nn.Module | None, target: nn.Conv2d) -> None:
    """Give `target` the weights of `source` and of the batch norm that follows it, if any.

    In evaluation mode a norm is a scale and a shift per channel, which the convolution's own
    weights and bias can hold.
    """
    target.load_state_dict(source.state_dict())
    if not isinstance(norm, nn.BatchNorm2d):
        return
    assert norm.running_var is not None
    assert norm.running_mean is not None
    assert source.bias is not None
    assert target.bias is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = norm.bias.double() - scale * norm.running_mean.double()
    target.weight.copy_(source.weight.double() * scale[:, None, None, None])
    target.bias.copy_(scale * source.bias.double() + shift)
