"""Table 1 on a processor by fast Fourier transforms, in code made for it (extra ``fast``).

As `dft`, but the transforms are fast ones and everything is done on vectors of sixteen channels
that stay in registers and in the nearest cache: LLVM compiles `fft_kernels` for the processor at
hand. All layers are computed so. In float32 it is exact up to rounding. With bfloat16 the factors
of the second and the third convolution, of the product in the frequency domain and of the last
hidden layer are rounded, while transforms, means and sums stay in float32. Processors with Intel
AMX multiply them in its tile registers, others pair by pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import Tensor

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.amx import has_amx
from napari_nucbudget.models.runtimes.dft import not_table_1_in_float32
from napari_nucbudget.models.runtimes.fft_amx_kernels import AMX, amx_kernels
from napari_nucbudget.models.runtimes.fft_kernels import kernels
from napari_nucbudget.models.runtimes.fft_sizes import (
    COMPLEX,
    HALF,
    PLANES,
    SIDE,
    TAPS,
    VALID,
    Blocks,
    blocks,
)
from napari_nucbudget.models.runtimes.fft_weights import (
    Numbers,
    convolution_weights,
    hidden_weights,
    plain,
)
from napari_nucbudget.models.runtimes.lanes import LANES, absent, has_bfloat16
from napari_nucbudget.models.runtimes.room import Room
from napari_nucbudget.nets.fcn_proximity import FcnConfig, FcnProximity

__all__ = ["FFT", "FFT_BF16", "FftForward"]

ROWS = 16
"""Rows that a layer is computed for before the next one: few enough for the cache, at least 5."""
DELAY = 7
"""Rows by which the third layer lags behind the first: each layer and pool needs some below."""
REACH = TAPS // 2


class FftForward:
    """Forward pass of `FcnProximity` without batch norms; reads the weights once, when made.

    `numbers` says what it multiplies, `sums` how much of it is summed up at once: by default as
    much as the processor's registers hold.
    """

    def __init__(
        self, network: FcnProximity, *, numbers: Numbers = "float32", sums: Blocks | None = None
    ) -> None:
        self._blocks = sums or (AMX if numbers == "amx" else blocks())
        self._kernels = (
            amx_kernels() if numbers == "amx" else kernels(self._blocks, reduced=numbers == "pairs")
        )
        self._reduced = numbers != "float32"
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="fft")
        self._room = Room(torch.float32)

        first, *others = network.conv1, network.conv2, network.conv3
        self._convolutions = [
            (convolution_weights(first.weight, "float32"), plain(first.bias)),
            *((convolution_weights(c.weight, numbers), plain(c.bias)) for c in others),
        ]
        kernel = network.conv4.weight.detach().double().cpu()  # (O, C, dy, dx)
        turn = 2 * math.pi / SIDE
        angle = turn * torch.outer(torch.arange(HALF).double(), torch.arange(TAPS).double())
        phase = torch.polar(torch.full_like(angle, 0.5 / SIDE**2), angle)  # (kx, dx)
        along_x = torch.einsum("ocyx,kx->kyco", kernel.to(phase.dtype), phase)
        planes = torch.view_as_real(along_x).reshape(HALF, TAPS, LANES, PLANES, LANES, 2)
        self._planes = [plain(p) for p in planes.permute(3, 0, 1, 2, 5, 4)]
        self._sums = plain(kernel.sum((2, 3)).t() / (2 * SIDE**2))  # (C, O)
        self._bias4 = plain(network.conv4.bias)

        self._weight5 = hidden_weights(network.conv5.weight, numbers, self._blocks.planes)
        self._bias5 = plain(network.conv5.bias)
        self._weight6 = plain(network.conv6.weight)
        self._bias6 = plain(network.conv6.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """(1, 3, h, w) to (1, 1, h, w)."""
        height, width = x.shape[-2:]
        down, across = -(-height // VALID), -(-width // VALID)
        features = self._room("features", down * VALID + TAPS - 1, across * VALID + TAPS - 1, LANES)
        for border in (
            features[:REACH],
            features[REACH + height :],
            features[:, :REACH],
            features[:, REACH + width :],
        ):
            border.zero_()
        self._encode(x, features)

        out = torch.empty(down * across, VALID, VALID)
        starts = range(0, len(out), self._blocks.together)
        self._each(partial(self._tiles, features, across, out), starts)
        rows = out.view(down, across, VALID, VALID).transpose(1, 2)
        joined = rows.reshape(down * VALID, across * VALID)[:height, :width]
        return joined[None, None] + self._bias6

    def _each(self, task: Callable[[Any], None], parts: Iterable[Any]) -> None:
        """The task for every part, on as many threads as torch computes on."""
        task = torch.inference_mode()(task)  # which is each thread's own
        if self._threads == 1:
            for part in parts:
                task(part)
        else:
            list(self._pool.map(task, parts))

    def _encode(self, x: Tensor, features: Tensor) -> None:
        """(1, 3, h, w) to the three first layers inside the border of `features`."""
        height, width = x.shape[-2:]
        wide = _up(width, self._blocks.seven)
        image = self._room("image", height + DELAY + 2 * ROWS, wide + 6, 3)
        image.zero_()
        image[3 : 3 + height, 3 : 3 + width] = x[0].permute(1, 2, 0)
        share = -(-height // self._threads)
        spans = [(start, min(start + share, height)) for start in range(0, height, share)]
        self._each(partial(self._rows, image, features, height, width), spans)

    def _rows(
        self, image: Tensor, features: Tensor, height: int, width: int, span: tuple[int, int]
    ) -> None:
        """Rows `span` of the three first layers, a few at a time from the first to the last."""
        run, room = self._kernels, self._room
        first, last = max(0, span[0] - DELAY), span[1]
        word = LANES // 2 if self._reduced else LANES
        steps = [self._blocks.seven, self._blocks.five, self._blocks.five]
        widths = [_up(width, step) for step in steps]
        # What a layer gives has a column of zeros before it and one after; rows of the last turn
        # stay above.
        layers = [room(f"layer {n}", 2 + ROWS, wide + 2, LANES) for n, wide in enumerate(widths)]
        pooled = [room(f"pooled {n}", 4 + ROWS, widths[1] + 6, word) for n in range(2)]
        for values in (*layers, *pooled):
            values.zero_()

        def convolve(n: int, source: Tensor, row: int) -> None:
            weights, bias = self._convolutions[n]
            taps = 5 if n else 7
            to = layers[n][2:, 1:]
            run[f"convolve{taps}"](
                source.data_ptr(), weights.data_ptr(), bias.data_ptr(), to.data_ptr(),
                ROWS, widths[n] // steps[n], width, source.stride(0), to.stride(0),
            )  # fmt: skip
            _clear_outside(to, row, height)

        def pool(n: int, to: Tensor, rows: slice) -> None:
            source = layers[n][rows.start :]
            run["pool_halves" if self._reduced and n < 2 else "pool"](
                source.data_ptr(), to.data_ptr(),
                rows.stop - rows.start, width, source.stride(0), to.stride(0),
            )  # fmt: skip

        for row in range(first, last + DELAY, ROWS):
            convolve(0, image[row:], row)
            pool(0, pooled[0][4:, 2:], slice(0, ROWS))
            _clear_outside(pooled[0][4:], row - 1, height)
            convolve(1, pooled[0], row - 3)
            pool(1, pooled[1][4:, 2:], slice(0, ROWS))
            _clear_outside(pooled[1][4:], row - 4, height)
            convolve(2, pooled[1], row - 6)
            top = row - DELAY
            wanted = slice(max(span[0] - top, 0), min(last - top, ROWS))
            if wanted.start < wanted.stop:
                pool(2, features[REACH + top + wanted.start :, REACH:], wanted)
            for values in layers:
                values[:2] = values[ROWS:]
            for values in pooled:
                values[:4] = values[ROWS:]

    def _tiles(self, features: Tensor, across: int, out: Tensor, start: int) -> None:
        """What follows the three first layers, for tiles from `start` on."""
        run, room, together = self._kernels, self._room, self._blocks.together
        stop = min(start + together, len(out))
        tiles, pixels = stop - start, self._blocks.pixels
        number = LANES if self._reduced else COMPLEX
        spectrum = room("spectrum", HALF * SIDE, together, number)
        scratch = room("scratch", SIDE, HALF, COMPLEX)
        sums = room("sums", together, HALF, LANES)
        first = start
        while first < stop:  # tiles of one row of them at once
            row, column = divmod(first, across)
            last = min(stop, (row + 1) * across)
            corner = features[row * VALID :, column * VALID :]
            run["forward"](
                corner.data_ptr(), scratch.data_ptr(),
                spectrum[0, first - start].data_ptr(), sums[first - start].data_ptr(),
                features.stride(0), together * number, last - first,
            )  # fmt: skip
            first = last
        bias = torch.addmm(self._bias4, sums[:, 0], self._sums)
        own = room("own", SIDE + 1, LANES + 1, COMPLEX)
        products = room("products", together, SIDE, COMPLEX)
        columns = room("columns", together, VALID, HALF, COMPLEX)
        shared = 2 if self._reduced else 1  # vectors of channels that share sixteen words
        values = room("values", PLANES // shared, together * VALID**2, shared, LANES // shared)
        for plane, layer in enumerate(self._planes):
            run["layer"](
                spectrum.data_ptr(), layer.data_ptr(), own.data_ptr(),
                products.data_ptr(), columns.data_ptr(), -(-tiles // self._blocks.tiles), tiles,
            )  # fmt: skip
            run["backward"](
                columns.data_ptr(), bias.data_ptr() + 4 * plane * LANES,
                values[plane // shared, 0, plane % shared].data_ptr(), tiles,
            )  # fmt: skip
        numbers = tiles * VALID**2
        found = room("found", _up(numbers, pixels))
        run["head"](
            values.data_ptr(), self._weight5.data_ptr(), self._bias5.data_ptr(),
            self._weight6.data_ptr(), found.data_ptr(), len(found) // pixels,
        )  # fmt: skip
        out[start:stop].view(-1)[:] = found[:numbers]


def _up(number: int, step: int) -> int:
    return -(-number // step) * step


def _clear_outside(rows: Tensor, first: int, height: int) -> None:
    """Zeros where there is no image; the first of `rows` is row `first` of it."""
    if first < 0:
        rows[:-first].zero_()
    if first + ROWS > height:
        rows[max(height - first, 0) : ROWS].zero_()


def _prepare(network: Any, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return FftForward(network)


def _prepare_reduced(network: Any, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return FftForward(network, numbers="amx" if has_amx() else "pairs")


def _refuses(network: torch.nn.Module) -> str | None:
    """Why this is no network for `FftForward`, in words: its code is made for table 1's widths."""
    reason = not_table_1_in_float32(network)
    if reason is None and network.config != FcnConfig():
        reason = "it computes the widths of table 1 only; use the runtime dft"
    return reason


def _missing_reduced() -> str | None:
    reason = absent()
    if reason is None and not has_bfloat16():
        reason = "this processor does not multiply bfloat16 (AVX-512 BF16); use the runtime fft"
    return reason


FFT = Runtime(
    exact=True,
    devices=("cpu",),
    prepare=_prepare,
    missing=absent,
    refuses=_refuses,
)
FFT_BF16 = Runtime(
    exact=False,
    devices=("cpu",),
    prepare=_prepare_reduced,
    missing=_missing_reduced,
    refuses=_refuses,
)
