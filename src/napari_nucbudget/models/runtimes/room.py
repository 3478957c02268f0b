"""Memory for intermediate values that is kept from call to call."""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor

__all__ = ["Room"]


class Room(threading.local):
    """Memory for intermediate values by name, each thread's own, kept from call to call.

    Fresh memory has to be cleared by the system, page by page, which takes as long as computing.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._kept: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        size = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.numel() < size:
            with torch.inference_mode(False):  # so that it can be written in any mode later
                kept = self._kept[name] = torch.empty(size, dtype=self._dtype)
        return kept[:size].view(shape)
