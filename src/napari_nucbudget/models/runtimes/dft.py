"""Table 1 on a processor, its 11x11 layer done in the frequency domain.

That layer is 89 % of the network's operations. Here it is computed by
overlap-save on tiles of 32 x 32: a discrete Fourier transform, one product of
small matrices per frequency, and the transform back. All three are plain
matrix products in torch, whose layouts are chosen so that the 128 channels
are never moved. What follows the layer (bias, ReLU, two 1x1 layers) is done
while a handful of tiles is still in the cache. Exact up to rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.models.runtimes import Forward
from napari_nucbudget.nets.fcn_proximity import FcnProximity

__all__ = ["DftForward", "prepare"]

TILE = 32
"""Side of a tile; 22 of its rows and columns are free of wrap-around."""
TILES_AT_ONCE = 24
"""Tiles between two transforms: few enough for the cache."""


def prepare(network: torch.nn.Module) -> Forward:
    """Table 1 as a `DftForward`.

    Raises
    ------
    ConfigError
        For any other network, and for one that still holds batch norms.
    """
    if not isinstance(network, FcnProximity) or network.config.batch_norm:
        raise ConfigError(
            f"The runtime 'dft' computes table 1 only, not {type(network).__name__}; "
            "use the runtime 'eager'."
        )
    return DftForward(network)


class DftForward:
    """Forward pass of `FcnProximity`; reads the weights once, when it is made."""

    def __init__(self, network: FcnProximity) -> None:
        self._network = network
        conv4, conv5, conv6 = network.conv4, network.conv5, network.conv6
        self._dtype = conv4.weight.dtype
        kernel = conv4.weight.detach().double().cpu()  # (O, C, 11, 11)
        self._out, self._in = kernel.shape[:2]
        self._reach = kernel.shape[-1] // 2
        self._valid = TILE - kernel.shape[-1] + 1
        half = TILE // 2 + 1  # frequencies along x: the input is real

        x = torch.arange(TILE, dtype=torch.float64)
        turn = 2 * math.pi / TILE
        kx, ky, valid = x[:half], x, x[: self._valid]
        phase = turn * torch.outer(kx, x)
        self._to_x = self._cast(torch.cat([phase.cos(), -phase.sin()]))  # (2 half, T)
        phase = turn * torch.outer(ky, x)
        self._to_y = self._cast(torch.cat([phase.cos(), phase.sin()]))  # (2 T, T)

        # A layer correlates, so its spectrum is conjugated. (kx, ky, C, O)
        spectrum = torch.fft.fft2(kernel, s=(TILE, TILE))[..., :half].conj().permute(3, 2, 1, 0)
        real, imaginary = spectrum.real, spectrum.imag
        shape = (half * TILE, 2 * self._in, self._out)
        self._real = self._cast(torch.cat([real, -imaginary], dim=2).reshape(shape))
        self._imaginary = self._cast(torch.cat([imaginary, real], dim=2).reshape(shape))

        phase = turn * torch.outer(valid, ky)
        self._from_y = self._cast(torch.cat([phase.cos(), phase.sin()]) / TILE)  # (2 V, T)
        phase = turn * torch.outer(valid, kx)
        twice = torch.full((half,), 2.0, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0  # these two frequencies have no mirror image
        cosine, sine = phase.cos() * twice / TILE, phase.sin() * twice / TILE
        pairs = (self._valid, 2 * half)
        self._from_real = self._cast(torch.stack([cosine, -sine], dim=2).reshape(pairs))
        self._from_imaginary = self._cast(torch.stack([-sine, -cosine], dim=2).reshape(pairs))

        assert conv4.bias is not None
        assert conv5.bias is not None
        assert conv6.bias is not None
        self._bias4 = conv4.bias.detach() * TILE**2  # enters at frequency zero
        self._weight5 = conv5.weight.detach()[:, :, 0, 0].t().contiguous()
        self._bias5 = conv5.bias.detach()
        self._weight6 = conv6.weight.detach()[0, :, 0, 0].clone()
        self._bias6 = conv6.bias.detach()

    def _cast(self, values: Tensor) -> Tensor:
        return values.to(self._dtype).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """(1, 3, h, w) to (1, 1, h, w)."""
        network = self._network
        for conv in (network.conv1, network.conv2, network.conv3):
            x = F.max_pool2d(torch.relu_(conv(x)), 3, stride=1, padding=1)
        height, width = x.shape[-2:]
        down, across = -(-height // self._valid), -(-width // self._valid)
        reach = self._reach
        x = F.pad(
            x,
            (
                reach,
                across * self._valid - width + reach,
                reach,
                down * self._valid - height + reach,
            ),
        )
        tiles = x[0].permute(1, 2, 0)  # (H, W, C)
        tiles = tiles.unfold(0, TILE, self._valid).unfold(1, TILE, self._valid)
        tiles = tiles.permute(0, 1, 4, 3, 2).flatten(0, 1)  # (n, x, y, C)
        out = x.new_empty(down * across, self._valid, self._valid)  # (n, x, y)
        for start in range(0, len(tiles), TILES_AT_ONCE):
            out[start : start + TILES_AT_ONCE] = self._head(tiles[start : start + TILES_AT_ONCE])
        rows = out.view(down, across, self._valid, self._valid).permute(0, 3, 1, 2)
        joined = rows.reshape(down * self._valid, across * self._valid)
        return joined[None, None, :height, :width] + self._bias6

    def _head(self, tiles: Tensor) -> Tensor:
        """(n, x, y, C) tiles to (n, x, y) values, bias of the last layer left out."""
        n, channels, half = len(tiles), self._in, TILE // 2 + 1
        valid, features = self._valid, self._out
        flat = tiles.permute(1, 2, 0, 3).reshape(TILE, TILE * n * channels)
        along_x = torch.mm(self._to_x, flat).view(2 * half, TILE, n * channels)
        both = torch.matmul(self._to_y, along_x).view(2, half, 2, TILE, n, channels)
        spectrum = tiles.new_empty(half, TILE, n, 2, channels)
        torch.add(both[0, :, 0], both[1, :, 1], out=spectrum[:, :, :, 0])
        torch.sub(both[1, :, 0], both[0, :, 1], out=spectrum[:, :, :, 1])
        spectrum = spectrum.view(half * TILE, n, 2 * channels)

        real = torch.bmm(spectrum, self._real)  # (kx ky, n, O)
        real[0] += self._bias4
        part = torch.matmul(self._from_y, real.view(half, TILE, n * features))
        values = torch.mm(self._from_real, part.view(2 * half, valid * n * features))
        imaginary = torch.bmm(spectrum, self._imaginary)
        part = torch.matmul(self._from_y, imaginary.view(half, TILE, n * features))
        values.addmm_(self._from_imaginary, part.view(2 * half, valid * n * features))

        values = torch.relu_(values.view(valid * valid * n, features))
        values = torch.relu_(torch.addmm(self._bias5, values, self._weight5))
        return torch.mv(values, self._weight6).view(valid, valid, n).permute(2, 0, 1)
