"""Convolutions band by band: what each layer still needs of the rows above is kept, not repeated.

A layer of a large image takes more memory than the system's allocator keeps at hand (32 MiB
with glibc): every page of it is asked for and cleared anew, which takes longer than the
arithmetic of a small network. Bands of rows stay small, and their values are the same.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.nets.convolutions import as_weights

__all__ = ["BandForward", "BandedConv", "Delay"]


class BandForward(Protocol):
    """A network's forward pass of one image whose rows come in bands, from the top."""

    def __call__(self, x: Tensor, *, last: bool) -> Tensor:
        """(B, C, h, w), the next rows, to (B, D, n, w), as many of the map's next rows as can be.

        With the `last` band come all that are missing.
        """
        ...


class BandedConv:
    """A convolution with padding k // 2 that gets an image's rows in bands, from the top.

    It gives what rows it can; those that need rows of the next band come with that. A band
    must have enough rows for one row of the result.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        self.conv = conv
        self.kernel, self.stride = int(conv.kernel_size[0]), int(conv.stride[0])
        self.kept: Tensor | None = None

    def __call__(self, x: Tensor, *, last: bool) -> Tensor:
        """(B, C, h, w), the next rows, to (B, D, n, w / stride), the next ones of the result."""
        x = as_weights(x, self.conv)
        edge = self.kernel // 2
        rows = F.pad(x, (0, 0, edge, 0)) if self.kept is None else torch.cat([self.kept, x], 2)
        if last:
            rows = F.pad(rows, (0, 0, 0, edge))
        count = (rows.shape[2] - self.kernel) // self.stride + 1
        self.kept = rows[:, :, count * self.stride :]
        return F.conv2d(rows, self.conv.weight, self.conv.bias, self.stride, (0, edge))


class Delay:
    """Rows that wait until the same rows have come through other layers."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None

    def put(self, x: Tensor) -> None:
        self.kept = x if self.kept is None else torch.cat([self.kept, x], 2)

    def take(self, count: int) -> Tensor:
        """The first rows that are kept; there must be as many."""
        assert self.kept is not None
        taken, self.kept = self.kept[:, :, :count], self.kept[:, :, count:]
        return taken
