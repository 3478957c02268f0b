"""The network as torch runs it by itself."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from napari_nucbudget.models.device import autocast
from napari_nucbudget.models.runtimes import Forward, Runtime, with_bands

__all__ = ["EAGER"]


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    """The network's own forward pass, under autocast where a reduced type is given."""
    if dtype is None and device.type == "cpu":
        return with_bands(network)

    def forward(x: Tensor) -> Tensor:
        with _all_bits(device) if dtype is None else autocast(device, dtype):
            out: Tensor = network(x)
        return out

    return forward


def _all_bits(device: torch.device) -> AbstractContextManager[Any]:
    """Convolutions that multiply float32 as it is: by default a GPU rounds it to 11 bits."""
    if device.type != "cuda":
        return nullcontext()
    now = torch.backends.cudnn
    context: AbstractContextManager[Any] = now.flags(
        enabled=now.enabled,
        benchmark=now.benchmark,
        benchmark_limit=now.benchmark_limit,
        deterministic=now.deterministic,
        allow_tf32=False,
    )
    return context


EAGER = Runtime(exact=True, devices=("cpu", "cuda", "mps"), prepare=_prepare)
