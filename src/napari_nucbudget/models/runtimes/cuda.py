"""A GPU of NVIDIA's: reduced precision, and one CUDA graph a tile shape."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.reduced import needs_float32, reduced_copy

__all__ = ["CUDA", "GraphForward"]

GRAPHS = 4
"""Shapes whose graphs are kept: whole tiles, those at the right and bottom edge, the corner."""
SIGHTINGS = 2
"""A shape is recorded the second time that it comes; an image of one tile is not worth it."""


@dataclass(eq=False)
class _Recorded:
    """The kernels of one shape, and the memory that they read and write."""

    replay: Any
    given: Tensor
    found: Tensor


class GraphForward:
    """The network cast once, channels last; shapes that come again are replayed as a graph.

    Parameters
    ----------
    network : torch.nn.Module
        On `device`.
    device : torch.device
        On a processor the same steps are taken without graphs, so that they can be tested.
    dtype : torch.dtype
        bfloat16 or float16.
    """

    def __init__(self, network: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._network = reduced_copy(network, dtype)
        self._device = device
        self._recorded: OrderedDict[tuple[int, ...], _Recorded] = OrderedDict()
        self._seen: dict[tuple[int, ...], int] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """(1, 3, h, w) to (1, 1, h, w) float32, the caller's to keep."""
        shape = tuple(x.shape)
        self._seen[shape] = self._seen.get(shape, 0) + 1
        if shape not in self._recorded:
            if self._seen[shape] < SIGHTINGS:
                found: Tensor = self._network(_channels_last(x))
                return found.float()
            while len(self._recorded) >= GRAPHS:
                self._recorded.popitem(last=False)
            self._recorded[shape] = self._record(_channels_last(x))
        self._recorded.move_to_end(shape)
        kept = self._recorded[shape]
        kept.given.copy_(x)
        kept.replay()
        return kept.found.float().clone()

    def _record(self, given: Tensor) -> _Recorded:
        given = given.clone(memory_format=torch.preserve_format)
        if self._device.type != "cuda":
            found = self._network(given)

            def replay() -> None:
                found.copy_(self._network(given))

            return _Recorded(replay, given, found)
        # Kernels choose their algorithms outside the recording, on a stream of its own.
        aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._network(given)
        torch.cuda.current_stream(self._device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = self._network(given)
        return _Recorded(graph.replay, given, found)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return GraphForward(network, device, dtype or torch.float16)


CUDA = Runtime(exact=False, devices=("cuda",), prepare=_prepare, refuses=needs_float32)
