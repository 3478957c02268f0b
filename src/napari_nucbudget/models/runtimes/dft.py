"""Table 1 on a processor, its 11x11 layer done in the frequency domain.

That layer is 89 % of the network's operations. Here it is computed by
overlap-save on tiles of 44 x 44: a discrete Fourier transform, one product of
small matrices per frequency, and the transform back. All three are plain
matrix products in torch, whose layouts are chosen so that the 128 channels
are never moved. The transform back gives the 34 x 34 values of a tile that are
free of wrap-around, counted from the tile's centre: there cosines are even and
sines odd, so that one half is multiplied, and the other follows by sums and
differences. What follows the layer (bias, ReLU, two 1x1 layers) is done while
a handful of tiles is still in the cache. In the network's own type it is exact
up to rounding; in bfloat16, from the transform to the last hidden layer, it finds
the same nuclei. Each tile's mean goes around the transform, which leaves smaller
numbers to be rounded.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.reduced import needs_float32
from napari_nucbudget.models.runtimes.room import Room
from napari_nucbudget.nets.fcn_proximity import FcnProximity

__all__ = ["DFT", "DFT_BF16", "DftForward", "not_table_1", "not_table_1_in_float32"]

TILE = 44
"""Side of a tile; 34 of its rows and columns are free of wrap-around."""
TILES_AT_ONCE = 24
"""Tiles between two transforms: few enough for the cache."""
ROWS_AT_ONCE = 4096
"""Pixels whose last hidden layer is widened at once, likewise."""


def not_table_1(network: torch.nn.Module) -> str | None:
    """Why this is no network for `DftForward`, in words; None for table 1."""
    if isinstance(network, FcnProximity) and not network.config.batch_norm:
        return None
    if hasattr(network, "patch"):
        return "it computes detectors only; use the runtime eager"
    return f"it computes table 1 only, not {type(network).__name__}; use the runtime eager"


def not_table_1_in_float32(network: torch.nn.Module) -> str | None:
    """The same for what computes table 1 in float32 alone."""
    return not_table_1(network) or needs_float32(network)


class DftForward:
    """Forward pass of `FcnProximity` without batch norms; reads the weights once, when made.

    `dtype` is that of the 11x11 layer and the hidden one after it, the network's where it is None.
    """

    def __init__(self, network: FcnProximity, dtype: torch.dtype | None = None) -> None:
        conv4, conv5, conv6 = network.conv4, network.conv5, network.conv6
        self._own = conv4.weight.dtype
        self._dtype = dtype or self._own
        self._encode = _encoder(network)
        self._room = Room(self._dtype)
        kernel = conv4.weight.detach().double().cpu()  # (O, C, 11, 11)
        self._out, self._in = kernel.shape[:2]
        self._reach = kernel.shape[-1] // 2
        self._valid = valid = TILE - kernel.shape[-1] + 1
        self._half = half = TILE // 2 + 1  # frequencies along x: the input is real
        turn = 2 * math.pi / TILE

        place = torch.arange(TILE, dtype=torch.float64)
        kx, ky = place[:half], (place + TILE // 2) % TILE - TILE // 2
        phase = turn * torch.outer(kx, place)
        self._to_x = self._cast(torch.cat([phase.cos(), -phase.sin()]))  # (2 half, T)
        phase = turn * torch.outer(ky, place)
        self._to_y = self._cast(torch.cat([phase.cos(), phase.sin()]))  # (2 T, T)

        # A layer correlates, so its spectrum is conjugated. (kx, ky, C, O)
        spectrum = torch.fft.fft2(kernel, s=(TILE, TILE))[..., :half].conj().permute(3, 2, 1, 0)
        angle = turn * (valid - 1) / 2 * (kx[:, None] + ky[None, :])  # moves 0 to the centre
        spectrum = spectrum * torch.polar(torch.ones_like(angle), angle)[:, :, None, None]
        real, imaginary = spectrum.real, spectrum.imag
        shape = (half * TILE, 2 * self._in, self._out)
        self._real = self._cast(torch.cat([real, -imaginary], dim=2).reshape(shape))
        self._imaginary = self._cast(torch.cat([imaginary, real], dim=2).reshape(shape))

        away = torch.arange(valid // 2, dtype=torch.float64) + 0.5  # rows from the centre
        phase = turn * torch.outer(away, ky)
        self._from_y = self._cast(torch.cat([phase.cos(), phase.sin()]) / TILE)  # (V, T)
        phase = turn * torch.outer(away, kx)
        twice = torch.full((half,), 2.0, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0  # these two frequencies have no mirror image
        cosine, sine = phase.cos() * twice / TILE, phase.sin() * twice / TILE
        # Right of the centre, then left of it, of real parts, then imaginary ones. (V, 2 half)
        self._even = self._cast(
            torch.cat([torch.cat([cosine, -sine], 1), torch.cat([cosine, sine], 1)])
        )
        self._odd = self._cast(
            torch.cat([torch.cat([sine, cosine], 1), torch.cat([-sine, cosine], 1)])
        )
        near = torch.arange(valid // 2)
        self._in_order = torch.cat([valid // 2 + near, valid // 2 - 1 - near]).argsort()

        assert conv4.bias is not None
        assert conv5.bias is not None
        assert conv6.bias is not None
        self._sums = kernel.sum((2, 3)).t().to(self._own).contiguous()  # (C, O)
        self._bias4 = conv4.bias.detach()
        self._weight5 = self._cast(conv5.weight[:, :, 0, 0].t())
        self._bias5 = conv5.bias.detach()
        self._weight6 = conv6.weight.detach()[0, :, 0, 0].clone()
        self._bias6 = conv6.bias.detach()

    def _cast(self, values: Tensor) -> Tensor:
        return values.detach().to(self._dtype).contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """(1, 3, h, w) to (1, 1, h, w)."""
        x = self._encode(x)
        height, width = x.shape[-2:]
        valid, reach = self._valid, self._reach
        down, across = -(-height // valid), -(-width // valid)
        x = F.pad(x, (reach, across * valid - width + reach, reach, down * valid - height + reach))
        tiles = x[0].permute(1, 2, 0).unfold(0, TILE, valid).unfold(1, TILE, valid)
        tiles = tiles.permute(0, 1, 4, 3, 2).flatten(0, 1)  # (n, x, y, C)
        out = x.new_empty(down * across, valid, valid)  # (n, x, y)
        for start in range(0, len(tiles), TILES_AT_ONCE):
            some = slice(start, start + TILES_AT_ONCE)
            out[some] = self._head(tiles[some])
        out = out[:, self._in_order][:, :, self._in_order]
        rows = out.view(down, across, valid, valid).permute(0, 3, 1, 2)
        joined = rows.reshape(down * valid, across * valid)
        return joined[None, None, :height, :width]

    def _head(self, tiles: Tensor) -> Tensor:
        """(n, x, y, C) tiles to (n, x, y) values from the centre."""
        n, channels, features, room = len(tiles), self._in, self._out, self._room
        half, valid = self._half, self._valid
        mean = tiles.mean((1, 2))  # (n, C)
        moved = room("moved", TILE, TILE, n, channels)
        flat = torch.sub(tiles.permute(1, 2, 0, 3), mean, out=moved).view(TILE, -1)
        along_x = torch.mm(self._to_x, flat, out=room("x", 2 * half, TILE * n * channels))
        both = torch.matmul(
            self._to_y,
            along_x.view(2 * half, TILE, n * channels),
            out=room("y", 2 * half, 2 * TILE, n * channels),
        ).view(2, half, 2, TILE, n, channels)
        spectrum = room("spectrum", half, TILE, n, 2, channels)
        torch.add(both[0, :, 0], both[1, :, 1], out=spectrum[:, :, :, 0])
        torch.sub(both[1, :, 0], both[0, :, 1], out=spectrum[:, :, :, 1])
        spectrum = spectrum.view(half * TILE, n, 2 * channels)

        product = room("product", 2, half * TILE, n, features)
        torch.bmm(spectrum, self._real, out=product[0])
        torch.bmm(spectrum, self._imaginary, out=product[1])
        part = torch.matmul(
            self._from_y,
            product.view(2 * half, TILE, n * features),
            out=room("part", 2 * half, valid, n * features),
        ).view(2 * half, valid * n * features)
        middle = valid // 2 * n * features
        shift = torch.addmm(self._bias4, mean, self._sums).to(self._dtype)  # (n, O)
        shift = shift.expand(valid // 2, n, features).reshape(1, middle)
        even = torch.addmm(shift, self._even, part[:, :middle], out=room("even", valid, middle))
        odd = torch.mm(self._odd, part[:, middle:], out=room("odd", valid, middle))
        values = room("values", valid, 2, middle)
        torch.sub(even, odd, out=values[:, 0])
        torch.add(even, odd, out=values[:, 1])

        return self._hidden_layers(values.view(-1, features)).view(valid, valid, n).permute(2, 0, 1)

    def _hidden_layers(self, values: Tensor) -> Tensor:
        """What follows the 11x11 layer: (N, O) to (N, 1)."""
        hidden = self._room("hidden", *values.shape)
        torch.mm(values.relu_(), self._weight5, out=hidden)
        # the last sums decide about peaks: in bfloat16 every twelfth would be a plateau
        rows = [
            torch.mv((some + self._bias5).relu_(), self._weight6)
            for some in torch.split(hidden, ROWS_AT_ONCE)
        ]
        return torch.cat(rows)[:, None] + self._bias6


def _encoder(network: FcnProximity) -> Forward:
    """`FcnProximity.encode` with pools that torch computes faster than its own."""
    layers = [
        (conv.weight.detach().to(memory_format=torch.channels_last), conv.bias)
        for conv in (network.conv1, network.conv2, network.conv3)
    ]

    def encode(x: Tensor) -> Tensor:
        for weight, bias in layers:
            x = _pooled(torch.relu_(F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)))
        return x

    return encode


def _pooled(x: Tensor) -> Tensor:
    """3 x 3 max-pool of stride 1 with the same size, row by row and column by column.

    A few times faster than torch's own on a processor.
    """
    for dim in (2, 3):
        size = x.shape[dim]
        if size == 1:
            continue
        pairs = torch.maximum(x.narrow(dim, 0, size - 1), x.narrow(dim, 1, size - 1))
        out = torch.empty_like(x)
        inner = out.narrow(dim, 1, size - 2)
        torch.maximum(pairs.narrow(dim, 0, size - 2), pairs.narrow(dim, 1, size - 2), out=inner)
        out.select(dim, 0).copy_(pairs.select(dim, 0))
        out.select(dim, size - 1).copy_(pairs.select(dim, size - 2))
        x = out
    return x


def _prepare(network: Any, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return DftForward(network)


def _prepare_reduced(network: Any, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return DftForward(network, torch.bfloat16)


DFT = Runtime(exact=True, devices=("cpu",), prepare=_prepare, refuses=not_table_1)
DFT_BF16 = Runtime(
    exact=False, devices=("cpu",), prepare=_prepare_reduced, refuses=not_table_1_in_float32
)
