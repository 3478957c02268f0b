"""What `fft_kernels` multiplies, in the tile registers of Intel AMX.

Each takes and gives what the one of the same name does with pairs of bfloat16; only weights are in
another order (`fft_weights`). The rows of a register are pixels, or the spectra of sixteen tiles at
one frequency; the words of a row are pairs of channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from napari_nucbudget.models.runtimes.amx import AmxCode
from napari_nucbudget.models.runtimes.fft_kernels import layer, without_products
from napari_nucbudget.models.runtimes.fft_sizes import (
    COMPLEX,
    FREQUENCY,
    PLANES,
    SIDE,
    VALID,
    Blocks,
)
from napari_nucbudget.models.runtimes.fourier import Complex
from napari_nucbudget.models.runtimes.lanes import LANES, ZERO, Code, compiled

__all__ = ["AMX", "amx_kernels"]

AMX = Blocks(seven=20, five=64, tiles=16, pixels=32, planes=2, together=16)
"""Four registers of sums at once, for 64 pixels or for 32 pixels and 32 outputs."""
_REGISTER = LANES * LANES
_PIXEL = LANES // 2
"""Words of sixteen channels."""
_STEPS = PLANES * _PIXEL // LANES
"""Registers' rows in the words of 128 channels."""


def _convolution() -> Code:
    """A layer of 5 x 5 without its ReLU, which the pool after it does.

    A row of a register has the channels of two pixels, as they lie in memory: of six taps the last
    weighs nothing.
    """
    code = AmxCode(
        "convolve5",
        pointers=("x", "weights", "bias", "y"),
        sizes=("rows", "blocks", "width", "x_row", "y_row"),
    )
    sums, weights = range(4), 7
    with code.tiles(), code.loop("%rows") as row:
        x, y = code.at("%x", row, "%x_row"), code.at("%y", row, "%y_row")
        with code.loop("%blocks") as block:
            here = code.at(x, block, AMX.five * _PIXEL)
            for one in sums:
                code.load_tile(one, "%bias", 0)
            with code.loop(5) as dy:
                line = code.at(here, dy, "%x_row")
                of_row = code.at("%weights", dy, 3 * _REGISTER)
                for pair in range(3):
                    code.load_tile(weights, code.at(of_row, pair * _REGISTER), LANES)
                    for one in sums:
                        values = 4 + (pair + one) % 3
                        place = code.at(line, (one * LANES + 2 * pair) * _PIXEL)
                        code.load_tile(values, place, _PIXEL)
                        code.add_product(one, values, weights)
            there = code.at(y, block, AMX.five * LANES)
            for one in sums:
                code.store_tile(one, code.at(there, one * _REGISTER), LANES)
        code.store(ZERO, code.at(y, "%width", LANES))
    return code


def _layer() -> Code:
    """`fft_kernels.layer`: at each frequency one product for real parts, and one for the others."""
    code = AmxCode(
        "layer",
        pointers=("spectrum", "weights", "own", "products", "columns"),
        sizes=("blocks", "tiles"),
    )

    def keep(value: Complex, place: str) -> None:
        re, im = value
        code.store(code.pair(re, im, minus=True), place)
        code.store(code.pair(im, re), code.at(place, _REGISTER))

    def multiply(of_column: str) -> None:
        with code.loop(SIDE // 2) as two:
            for odd in range(2):  # so that one product need not wait for the other
                weights, tiles = 4 + odd, 6 + odd
                own = code.at(code.at("%own", two, 2 * FREQUENCY), odd * FREQUENCY)
                there = code.at(code.at("%products", two, 2 * COMPLEX), odd * COMPLEX)
                spectra = code.at(code.at(of_column, two, 2 * _REGISTER), odd * _REGISTER)
                code.load_tile(tiles, spectra, LANES)
                for part in range(2):
                    code.zero_tile(2 * odd + part)
                    code.load_tile(weights, code.at(own, part * _REGISTER), LANES)
                    code.add_product(2 * odd + part, tiles, weights)
                for part in range(2):
                    place = code.at(there, part * LANES)
                    code.store_tile(2 * odd + part, place, SIDE * COMPLEX)

    with code.tiles():
        layer(code, keep, multiply, number=LANES, together=AMX.together)
    return code


def _head() -> Code:
    """The two 1 x 1 layers. `weights` is (vector, step of sixteen words, register)."""
    code = AmxCode(
        "head",
        pointers=("values", "weights", "bias", "last", "out"),
        sizes=("blocks",),
    )
    step, part = PLANES * LANES, AMX.together * VALID**2 * LANES
    hidden = code.space(AMX.pixels * step)
    halves, planes = range(2), range(AMX.planes)
    with code.tiles(), code.loop("%blocks") as block:
        here = code.at("%values", block, AMX.pixels * LANES)
        for first in range(0, PLANES, AMX.planes):
            for half in halves:
                for plane in planes:
                    bias = code.at("%bias", (first + plane) * LANES)
                    code.load_tile(2 * half + plane, bias, 0)
            for k in range(_STEPS):
                for half in halves:
                    code.load_tile(4 + half, code.at(here, k * part + half * _REGISTER), LANES)
                for plane in planes:
                    place = code.at("%weights", ((first + plane) * _STEPS + k) * _REGISTER)
                    code.load_tile(6 + plane, place, LANES)
                for half in halves:
                    for plane in planes:
                        code.add_product(2 * half + plane, 4 + half, 6 + plane)
            for half in halves:
                for plane in planes:
                    place = code.at(hidden, half * LANES * step + (first + plane) * LANES)
                    code.store_tile(2 * half + plane, place, step)
        lasts = [code.load(code.at("%last", plane * LANES)) for plane in range(PLANES)]
        there = code.at("%out", block, AMX.pixels)
        with code.loop(AMX.pixels) as pixel:
            place, total = code.at(hidden, pixel, step), ZERO
            for plane, last in enumerate(lasts):
                positive = code.larger(code.load(code.at(place, plane * LANES)))
                total = code.multiply_add(positive, last, total)
            code.store_sum(total, code.at(there, pixel))
    return code


@cache
def amx_kernels() -> dict[str, Callable[..., None]]:
    """All of them by name; compiled once in a process."""
    return compiled([*without_products(AMX, reduced=True), _convolution(), _layer(), _head()])
