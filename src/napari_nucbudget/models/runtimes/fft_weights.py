"""Weights of table 1 in the order in which `fft` and its kernels read them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from napari_nucbudget.models.runtimes.lanes import LANES

__all__ = ["Numbers", "convolution_weights", "hidden_weights", "plain"]

Numbers = Literal["float32", "pairs", "amx"]
"""What is multiplied: float32, or bfloat16, by twos in vectors or in the registers of Intel AMX."""


def plain(values: Tensor | None) -> Tensor:
    """A copy in float32."""
    assert values is not None
    return values.detach().float().cpu().contiguous().clone()


def convolution_weights(weight: Tensor, numbers: Numbers) -> Tensor:
    """Those (O, C, dy, dx) of one layer.

    (dy, C, dx, O) in float32, (dy, C / 2, dx, O, 2) in pairs; for AMX (dy, two dx, dx and C / 2, O,
    2), with zeros for one dx more, which makes their number even.
    """
    inside = plain(weight).permute(2, 1, 3, 0)
    if numbers == "float32":
        return inside.contiguous()
    if numbers == "pairs":
        return _in_pairs(inside, 1)
    taps, channels, _, outputs = inside.shape
    by_pixel = inside.new_zeros(taps, taps + 1, channels, outputs)
    by_pixel[:, :taps] = inside.transpose(1, 2)
    return _in_pairs(by_pixel.view(taps, (taps + 1) // 2, 2 * channels, outputs), 2)


def hidden_weights(weight: Tensor, numbers: Numbers, planes: int) -> Tensor:
    """Those (O, I, 1, 1) of the hidden layer after the 11 x 11 one.

    (O / 16 `planes`, I, 16 `planes`) in float32, (O / 16 `planes`, I / 2, 16 `planes`, 2) in pairs;
    for AMX (O / 16, I / 32, 16, 16, 2).
    """
    inside = plain(weight).flatten(1).t()  # (I, O)
    if numbers != "float32":
        inside = _in_pairs(inside, 0)  # (I / 2, O, 2)
    width = LANES if numbers == "amx" else LANES * planes
    return torch.stack(torch.split(inside, width, dim=1))


def _in_pairs(values: Tensor, dim: int) -> Tensor:
    """In bfloat16, every second of a dimension beside the one before it, as a last dimension."""
    places = torch.arange(0, values.shape[dim], 2)
    pairs = [values.index_select(dim, places + start) for start in range(2)]
    return torch.stack(pairs, dim=-1).bfloat16()
