"""The network as torch runs it by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_nucbudget.models.device import autocast
from napari_nucbudget.models.runtimes import Forward, Runtime

__all__ = ["EAGER"]


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    """The network's own forward pass, under autocast where a reduced type is given."""
    if dtype is None:
        return network

    def forward(x: Tensor) -> Tensor:
        with autocast(device, dtype):
            out: Tensor = network(x)
        return out

    return forward


EAGER = Runtime(exact=True, devices=("cpu", "cuda", "mps"), prepare=_prepare)
