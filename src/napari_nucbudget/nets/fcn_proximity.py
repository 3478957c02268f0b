"""The paper's table 1: a fully convolutional network that regresses the proximity map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.nets.convolutions import copy_folded, initialise

__all__ = ["FcnConfig", "FcnProximity"]


@dataclass(frozen=True)
class FcnConfig:
    """Table 1 is the default.

    `batch_norm` puts a normalisation after every convolution but the last,
    for training only: `FcnProximity.folded` turns it back into table 1.
    """

    width: int = 16
    head_width: int = 128
    batch_norm: bool = False


class FcnProximity(nn.Module):
    """Proximity of every pixel to its nearest nucleus; any input size, same output size.

    Layers (table 1): 7x7 conv 3 to 16, ReLU, 3x3 max-pool stride 1; 5x5 conv,
    ReLU, pool; 5x5 conv, ReLU, pool; 11x11 conv 16 to 128, ReLU; 1x1 conv 128,
    ReLU; 1x1 conv to 1. 279,777 parameters, receptive field 31 px. The pools
    are padded by 1, which table 1 leaves out, so that the map has the image's
    size.
    """

    receptive_field = 31
    alignment = 1
    tile = 710
    """Side of tiles, pixels: with 25 more on every side, as detection reads them, 20 times the 38
    that a Fourier transform of the runtime ``fft`` gives."""

    def __init__(self, config: FcnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FcnConfig()
        width, head = config.width, config.head_width

        def norm(channels: int) -> nn.Module:
            return nn.BatchNorm2d(channels) if config.batch_norm else nn.Identity()

        self.conv1 = nn.Conv2d(3, width, 7, padding=3)
        self.conv2 = nn.Conv2d(width, width, 5, padding=2)
        self.conv3 = nn.Conv2d(width, width, 5, padding=2)
        self.conv4 = nn.Conv2d(width, head, 11, padding=5)
        self.conv5 = nn.Conv2d(head, head, 1)
        self.conv6 = nn.Conv2d(head, 1, 1)
        self.norm1, self.norm2, self.norm3 = norm(width), norm(width), norm(width)
        self.norm4, self.norm5 = norm(head), norm(head)

    @property
    def last(self) -> nn.Conv2d:
        """The layer that gives the map."""
        return self.conv6

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """Fresh weights, see `convolutions.initialise`."""
        layers = (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5, self.conv6)
        initialise(layers, self.last, generator, recipe=recipe)

    def forward(self, x: Tensor, stride: int = 1, offset: tuple[int, int] = (0, 0)) -> Tensor:
        """(B, 3, h, w) to (B, 1, h, w); with `stride` only every n-th pixel from `offset` on.

        The strided output holds exactly the values of the dense one at those
        pixels, at a fraction of the cost: the 11x11 layer is 89 % of it.
        """
        x = self.encode(x)
        if stride == 1:
            x = self.conv4(x)  # (B, 128, h, w)
        else:
            x = F.pad(x, (5, 5, 5, 5))[:, :, offset[0] :, offset[1] :]
            x = F.conv2d(x, self.conv4.weight, self.conv4.bias, stride=stride)
        return self.decode(x)

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) to (B, 16, h, w): the three convolutions before the 11x11 layer."""
        for conv, norm in (
            (self.conv1, self.norm1),
            (self.conv2, self.norm2),
            (self.conv3, self.norm3),
        ):
            x = F.max_pool2d(F.relu(norm(conv(x)), inplace=True), 3, stride=1, padding=1)
        return x

    def decode(self, x: Tensor) -> Tensor:
        """(B, 128, h, w) of the 11x11 layer to (B, 1, h, w): all that follows it."""
        x = F.relu(self.norm4(x), inplace=True)
        x = F.relu(self.norm5(self.conv5(x)), inplace=True)
        out: Tensor = self.conv6(x)
        return out

    def folded(self) -> FcnProximity:
        """Table 1 itself, with the same output as this network in evaluation mode."""
        plain = FcnProximity(FcnConfig(self.config.width, self.config.head_width, batch_norm=False))
        for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6"):
            norm = getattr(self, name.replace("conv", "norm"), None)
            copy_folded(getattr(self, name), norm, getattr(plain, name))
        return plain.to(next(self.parameters()).device)
