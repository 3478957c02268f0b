"""The network as torch runs it by itself."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from napari_nucbudget.models.device import autocast
from napari_nucbudget.models.runtimes import Banded, Forward, Runtime, with_bands
from napari_nucbudget.nets.in_bands import BandForward

__all__ = ["EAGER"]


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    """The network's own forward pass, under autocast where a reduced type is given."""
    compute = with_bands(network) if device.type == "cpu" else network
    if dtype is None and device.type == "cpu":
        return compute

    def forward(x: Tensor) -> Tensor:
        with _all_bits(device) if dtype is None else autocast(device, dtype):
            out: Tensor = compute(x)
        return out

    if not isinstance(compute, Banded):
        return forward
    begin = compute.begin

    def begin_reduced() -> BandForward:
        bands = begin()

        def band(x: Tensor, *, last: bool) -> Tensor:
            with autocast(device, dtype):
                return bands(x, last=last)

        return band

    return Banded(forward, compute.rows, begin_reduced)


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
