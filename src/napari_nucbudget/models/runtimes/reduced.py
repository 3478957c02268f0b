"""Networks whose weights are in a reduced type but for the layers that begin and end them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

__all__ = ["needs_float32", "reduced_copy"]

EXACT_SHARE = {torch.bfloat16: 0.14, torch.float16: 0.0}
"""Share of a detector's weights, from the first layer on, that stay in float32; float16 keeps three
bits more than bfloat16, and needs none."""
COLOURS = 3
"""Channels of what sees pixels."""


def needs_float32(network: torch.nn.Module) -> str | None:
    """Why a network cannot be cast, in words; None where it can."""
    if getattr(network, "invariant", False):
        return "this network's features are computed by numpy; use the runtime eager"
    kinds = {p.dtype for p in network.parameters()}
    if kinds != {torch.float32}:
        found = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds)) or "absent"
        return f"it takes weights in float32, and these are {found}; use the runtime eager"
    return None


def reduced_copy(network: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """A copy with weights in `dtype`, channels last in memory; some layers in float32.

    What the first layers lose reaches every later one; in bfloat16 those that hold 14 % of a
    detector's weights together stay: table 1's three of 16 channels, all of the fast detector's
    before an eighth of the resolution. The last stays in either type. Its sums decide about peaks:
    with 8 bits of mantissa every twelfth would be a plateau. It is the attribute ``last`` of a
    detector network, ``head`` of a classifier; of its other layers those stay that see pixels.
    """
    small: Any = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layers = [m for m in small.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    types = hasattr(small, "head")
    last = small.head if types else getattr(small, "last", None)
    share, before = EXACT_SHARE[dtype], 0
    total = sum(layer.weight.numel() for layer in layers)
    for layer in layers:
        before += layer.weight.numel()
        early = before <= share * total
        if types:
            early = share > 0 and layer.weight.shape[1] == COLOURS
        if not early and layer is not last:
            layer.to(dtype)
        layer.register_forward_pre_hook(_as_weights)
    module: torch.nn.Module = small.eval()
    return module


def _as_weights(layer: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.to(layer.weight.dtype) for x in given)
