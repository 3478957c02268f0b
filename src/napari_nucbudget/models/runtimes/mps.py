"""float16 on an Apple GPU."""

from __future__ import annotations

import torch

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.reduced import needs_float32, reduced_copy

__all__ = ["MPS"]


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return reduced_copy(network, torch.float16)


MPS = Runtime(exact=False, devices=("mps",), prepare=_prepare, refuses=needs_float32)
