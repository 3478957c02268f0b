"""A small encoder and decoder that regresses the proximity map for a fiftieth of table 1's work."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.nets.convolutions import as_weights, copy_folded, initialise
from napari_nucbudget.nets.in_bands import BandedConv, BandForward, Delay

__all__ = ["FcnFast", "FcnFastConfig"]

BAND = 128
"""Rows that `FcnFast.bands` computes at once; more where the network is deep."""


@dataclass(frozen=True)
class FcnFastConfig:
    """Widths and depth; `batch_norm` is for training only, see `FcnFast.folded`."""

    stem: int = 16
    """Channels at half resolution."""
    width: int = 32
    """Channels at a quarter of the resolution; twice as many at an eighth."""
    depth: int = 3
    """Residual layers at an eighth of the resolution, where the surroundings are seen."""
    batch_norm: bool = False


class FcnFast(nn.Module):
    """Proximity of every pixel to its nearest nucleus; any input size, same output size.

    Two strided convolutions lead to a quarter of the resolution and a third to
    an eighth, with residual layers on each; the way back adds what the finer
    levels saw. The last layer gives the 4 x 4 pixels of each cell as 16
    channels (sub-pixel convolution, Shi et al. 2016), so that nothing is ever
    computed at full resolution. About 11 thousand operations a pixel, table 1
    has 559 thousand.

    Cells begin at multiples of `alignment`: a window cut at such a multiple
    gives the values of the whole image.
    """

    receptive_field = 119
    alignment = 8
    tile = 1024
    dense_tile = 2048

    def __init__(self, config: FcnFastConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FcnFastConfig()
        stem, width, wide, normed = config.stem, config.width, 2 * config.width, config.batch_norm
        self.to_half = _Layer(3, stem, normed, kernel=5, stride=2)
        self.to_quarter = _Layer(stem, width, normed, stride=2)
        self.at_quarter = nn.ModuleList(_Layer(width, width, normed) for _ in range(2))
        self.to_eighth = _Layer(width, wide, normed, stride=2)
        self.at_eighth = nn.ModuleList(_Layer(wide, wide, normed) for _ in range(config.depth))
        self.up = nn.Conv2d(wide, width, 1)
        self.skip = nn.Conv2d(4 * stem, width, 1)
        self.at_end = nn.ModuleList(_Layer(width, width, normed) for _ in range(2))
        self.last = nn.Conv2d(width, 16, 3, padding=1)

    def initialise(self, generator: torch.Generator, *, recipe: str = "product") -> None:
        """Fresh weights, see `convolutions.initialise`."""
        layers = (m for m in self.modules() if isinstance(m, nn.Conv2d))
        initialise(layers, self.last, generator, recipe=recipe)

    def forward(self, x: Tensor, stride: int = 1, offset: tuple[int, int] = (0, 0)) -> Tensor:
        """(B, 3, h, w) to (B, 1, h, w); with `stride` only every n-th pixel from `offset` on."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.alignment, 0, -height % self.alignment))
        half = self.to_half(x)
        quarter = self.to_quarter(half)
        for layer in self.at_quarter:
            quarter = quarter + layer(quarter)
        eighth = self.to_eighth(quarter)
        for layer in self.at_eighth:
            eighth = eighth + layer(eighth)
        above = F.interpolate(self.up(eighth), scale_factor=2.0, mode="nearest")
        merged = F.relu(above + quarter + self.skipped(half), inplace=True)
        for layer in self.at_end:
            merged = merged + layer(merged)
        out = F.pixel_shuffle(self.last(merged), 4)[:, :, :height, :width]
        return out if stride == 1 else out[:, :, offset[0] :: stride, offset[1] :: stride]

    def skipped(self, half: Tensor) -> Tensor:
        """`skip` of the 2 x 2 pixels of every cell.

        In one convolution by steps of 2, to which its weights fit as they are: to unshuffle the
        pixels before takes as long as several layers.
        """
        layer = self.skip
        weight = layer.weight.view(len(layer.weight), -1, 2, 2)
        return F.conv2d(as_weights(half, layer), weight, layer.bias, stride=2)

    def bands(self) -> BandForward | None:
        """`forward` of an image that comes in bands of `band_rows` rows or more, from the top.

        For a large image it takes as long a pixel as for a small one. None with
        normalisations, thus in training.
        """
        return None if self.config.batch_norm else _Bands(self)

    @property
    def band_rows(self) -> int:
        """Rows of a band, of which each layer that looks around keeps one waiting."""
        return max(BAND, self.alignment * (self.config.depth + 8))

    def folded(self) -> FcnFast:
        """The same function without normalisations: each is held by its convolution."""
        plain = FcnFast(replace(self.config, batch_norm=False))
        for name, module in self.named_modules():
            if isinstance(module, _Layer):
                copy_folded(module.conv, module.norm, plain.get_submodule(name).conv)  # type: ignore[arg-type]
        for name in ("up", "skip", "last"):
            plain.get_submodule(name).load_state_dict(self.get_submodule(name).state_dict())
        return plain.to(next(self.parameters()).device)


class _Bands:
    """`FcnFast.forward`, with what has to wait between one band and the next."""

    def __init__(self, network: FcnFast) -> None:
        self.network = network
        self.to_half, self.to_quarter, self.to_eighth = (
            BandedConv(layer.conv)
            for layer in (network.to_half, network.to_quarter, network.to_eighth)
        )
        self.at_quarter, self.at_eighth, self.at_end = (
            [_BandedResidual(layer) for layer in layers]
            for layers in (network.at_quarter, network.at_eighth, network.at_end)
        )
        self.last = BandedConv(network.last)
        self.half, self.quarter = Delay(), Delay()
        self.rows = 0  # of the image, until now

    def __call__(self, x: Tensor, *, last: bool) -> Tensor:
        width, cell = x.shape[3], self.network.alignment
        self.rows += x.shape[2]
        down, right = -self.rows % cell if last else 0, -width % cell
        if down or right:
            x = F.pad(x, (0, right, 0, down))
        found = self.computed(x, last=last)[:, :, :, :width]
        return found[:, :, : found.shape[2] - down]

    def computed(self, x: Tensor, *, last: bool) -> Tensor:
        """Whole cells to the map of whole cells."""
        network = self.network
        half = F.relu(self.to_half(x, last=last), inplace=True)
        self.half.put(half)
        quarter = F.relu(self.to_quarter(half, last=last), inplace=True)
        for layer in self.at_quarter:
            quarter = layer(quarter, last=last)
        self.quarter.put(quarter)
        eighth = F.relu(self.to_eighth(quarter, last=last), inplace=True)
        for layer in self.at_eighth:
            eighth = layer(eighth, last=last)
        above = F.interpolate(network.up(eighth), scale_factor=2.0, mode="nearest")
        rows = above.shape[2]
        skipped = network.skipped(self.half.take(2 * rows))
        merged = F.relu(above + self.quarter.take(rows) + skipped, inplace=True)
        for layer in self.at_end:
            merged = layer(merged, last=last)
        return F.pixel_shuffle(self.last(merged, last=last), 4)


class _BandedResidual:
    """x + layer(x)"""

    def __init__(self, layer: nn.Module) -> None:
        assert isinstance(layer, _Layer)
        self.conv, self.waiting = BandedConv(layer.conv), Delay()

    def __call__(self, x: Tensor, *, last: bool) -> Tensor:
        self.waiting.put(x)
        out = F.relu(self.conv(x, last=last), inplace=True)
        return self.waiting.take(out.shape[2]) + out


class _Layer(nn.Module):
    """Convolution, normalisation while training, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, batch_norm: bool, *, kernel: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.norm = nn.BatchNorm2d(outputs) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)
