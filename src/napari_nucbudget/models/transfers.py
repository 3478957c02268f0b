"""Pixels to a GPU and maps back, while the GPU computes the tile before."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["SLOTS", "Transfers"]

SLOTS = 2
"""Tiles that are under way at once: one computes, the next one's pixels come."""


class Transfers:
    """Double-buffered copies between numpy and a device.

    The host's side lies in page-locked memory, which a GPU reads and writes by
    itself. Pixels come in on one stream, maps leave on another, and the network
    runs on the thread's own between them; events keep the three in order.

    Parameters
    ----------
    device : torch.device
        On a processor the same steps are taken in turn, so that they can be tested.
    dtype : torch.dtype
        Of the pixels.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device = device
        self._slots = [_Slot(device, dtype) for _ in range(SLOTS)]
        self._next = 0
        self._up, self._down = _stream(device), _stream(device)

    @torch.inference_mode()
    def begin(
        self, pixels: NDArray[Any], compute: Callable[[Tensor], Tensor]
    ) -> Callable[[], NDArray[Any]]:
        """Start on pixels of any shape; the function that is given back waits for the result.

        `compute` takes them on the device and gives a tensor there. The oldest of
        `SLOTS` results that nobody has asked for is waited for first, and kept.
        """
        slot = self._slots[self._next]
        self._next = (self._next + 1) % SLOTS
        slot.collect()
        source = slot.host.of(pixels.shape)
        np.copyto(source.numpy(), pixels)  # torch's copy would wake all cores, which others need
        with _on(self._up):  # asked for on this stream: memory goes round within one stream
            given = slot.device.of(pixels.shape)
            given.copy_(source, non_blocking=True)
        _order(self._up, before=self._own())
        found = compute(given).to(source.dtype)
        _order(self._own(), before=self._down)
        target = slot.map.of(tuple(found.shape))
        with _on(self._down):
            target.copy_(found, non_blocking=True)
        if self._down is not None:
            found.record_stream(self._down)
            slot.done = self._down.record_event()
        return slot.promise(target)

    def _own(self) -> Any:
        """The stream on which this thread computes."""
        return None if self._device.type != "cuda" else torch.cuda.current_stream(self._device)


class _Slot:
    """Memory of one tile under way, and who still waits for its map."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        locked = device.type == "cuda"
        self.host = _Room(torch.device("cpu"), dtype, locked=locked)
        self.device = _Room(device, dtype)
        self.map = _Room(torch.device("cpu"), dtype, locked=locked)
        self.done: Any = None
        self._waiting: list[Callable[[], NDArray[Any]]] = []

    def promise(self, host: Tensor) -> Callable[[], NDArray[Any]]:
        """What waits for the map once, and keeps a copy of its own."""
        kept: list[NDArray[Any]] = []

        def result() -> NDArray[Any]:
            if not kept:
                if self.done is not None:
                    self.done.synchronize()
                kept.append(host.numpy().copy())
                self._waiting.remove(result)
            return kept[0]

        self._waiting.append(result)
        return result

    def collect(self) -> None:
        """Let no map be written over that is still waited for."""
        for result in tuple(self._waiting):
            result()


class _Room:
    """Memory that grows to the largest tile and is looked at in any shape."""

    def __init__(self, device: torch.device, dtype: torch.dtype, *, locked: bool = False) -> None:
        self._empty = torch.empty(0, dtype=dtype, device=device)
        self._kept, self._locked = self._empty, locked

    def of(self, shape: tuple[int, ...]) -> Tensor:
        count = math.prod(shape)
        if self._kept.numel() < count:
            self._kept = self._empty  # the old memory goes before the new is asked for
            more = self._empty.new_empty(count)
            self._kept = more.pin_memory() if self._locked else more
        return self._kept[:count].view(shape)


def _stream(device: torch.device) -> Any:
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _on(stream: Any) -> AbstractContextManager[Any]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _order(first: Any, *, before: Any) -> None:
    """What comes next on the second stream waits for what is on the first."""
    if first is not None:
        before.wait_stream(first)
