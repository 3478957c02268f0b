"""float16 on an Apple GPU."""

from __future__ import annotations

import torch

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.reduced import needs_float32, reduced_copy

__all__ = ["MPS", "half_precision"]


def half_precision(network: torch.nn.Module) -> Forward:
    """The network cast to float16 once, channels last; its device is the network's."""
    return reduced_copy(network, torch.float16)


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return half_precision(network)


MPS = Runtime(exact=False, devices=("mps",), prepare=_prepare, refuses=needs_float32)
