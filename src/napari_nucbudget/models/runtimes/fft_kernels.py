"""What `fft` computes in, for LLVM: table 1 on vectors of sixteen channels.

Maps are (rows, columns, channels) in float32; in reduced kernels what is multiplied is
bfloat16, two channels to a word, and sums are float32. No kernel looks beyond
what it is given: who calls it provides borders of zeros. A transform is one of 48 x 48 pixels, of
which 38 x 38 results are free of wrap-around; of its columns of frequencies 25 are kept, since
pixels are real. Complex vectors are sixteen real parts, then sixteen imaginary ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from napari_nucbudget.models.runtimes.fft_sizes import (
    COMPLEX,
    FREQUENCY,
    HALF,
    PLANES,
    SIDE,
    TAPS,
    VALID,
    Blocks,
)
from napari_nucbudget.models.runtimes.fourier import Complex, fourier, inverse_fourier
from napari_nucbudget.models.runtimes.lanes import (
    LANES,
    ZERO,
    Code,
    compiled,
)

__all__ = ["kernels", "layer", "without_products"]


def _convolution(taps: int, channels: int, many: int, *, reduced: bool) -> Code:
    """One layer and its ReLU: rows of blocks of pixels; what lies right of `width` is zero after.

    A block has `many` pixels. Weights are (row, channel, column, output).
    """
    code = Code(
        f"convolve{taps}",
        pointers=("x", "weights", "bias", "y"),
        sizes=("rows", "blocks", "width", "x_row", "y_row"),
    )
    words = channels // 2 if reduced else channels
    with code.loop("%rows") as row:
        x, y = code.at("%x", row, "%x_row"), code.at("%y", row, "%y_row")
        with code.loop("%blocks") as block:
            here = code.at(x, block, many * words)
            bias = code.load("%bias")
            sums = [code.variable(bias) for _ in range(many)]
            with code.loop(taps) as dy:
                line = code.at(here, dy, "%x_row")
                of_row = code.at("%weights", dy, words * taps * LANES)
                with code.loop(words) as channel:
                    place = code.at(line, channel)
                    of_channel = code.at(of_row, channel, taps * LANES)
                    weights = [code.load(code.at(of_channel, dx * LANES)) for dx in range(taps)]
                    values = [code.load(one) for one in sums]
                    for pixel in range(many + taps - 1):
                        number = code.load_each(code.at(place, pixel * words))
                        for dx in range(taps):
                            if 0 <= (at := pixel - dx) < many:
                                multiply = code.pair_product if reduced else code.multiply_add
                                values[at] = multiply(number, weights[dx], values[at])
                    for one, value in zip(sums, values, strict=True):
                        code.store(value, one)
            there = code.at(y, block, many * LANES)
            for pixel, one in enumerate(sums):
                code.store(code.larger(code.load(one)), code.at(there, pixel * LANES))
        code.store(ZERO, code.at(y, "%width", LANES))
    return code


def _pool(*, reduced: bool) -> Code:
    """3 x 3 maxima, zero at least; `x` is one row up and one column left."""
    code = Code(
        "pool_halves" if reduced else "pool",
        pointers=("x", "y"),
        sizes=("rows", "width", "x_row", "y_row"),
    )
    with code.loop("%rows") as row:
        x, y = code.at("%x", row, "%x_row"), code.at("%y", row, "%y_row")
        below = code.at(x, "%x_row")
        lines = [x, below, code.at(below, "%x_row")]
        with code.loop("%width") as column:
            largest = ZERO
            for line in lines:
                here = code.at(line, column, LANES)
                for dx in range(3):
                    largest = code.larger(code.load(code.at(here, dx * LANES)), largest)
            if reduced:
                code.store_halves(largest, code.at(y, column, LANES // 2))
            else:
                code.store(largest, code.at(y, column, LANES))
    return code


def _forward(*, reduced: bool) -> Code:
    """Twice the spectrum (kx, ky) of `tiles` tiles side by side, with zero for the mean.

    Twice the sum of all pixels is the first vector of `sums` (tile, HALF). In `spectrum`, `gap`
    numbers lie between two frequencies of a tile; `room` holds SIDE x HALF complex vectors.
    Reduced, a frequency is sixteen words (re, im).
    """
    code = Code(
        "forward",
        pointers=("x", "room", "spectrum", "sums"),
        sizes=("x_row", "gap", "tiles"),
    )
    size = LANES if reduced else COMPLEX
    with code.loop("%tiles") as tile:
        corner = code.at("%x", tile, VALID * LANES)
        spectrum = code.at("%spectrum", tile, size)
        sums = code.at("%sums", tile, HALF * LANES)
        with code.loop(SIDE // 2) as pair:  # two rows at once, as one complex row
            upper = code.at(corner, pair, 2, "%x_row")
            lower = code.at(upper, "%x_row")
            z = fourier(
                code,
                [
                    (code.load(code.at(upper, i * LANES)), code.load(code.at(lower, i * LANES)))
                    for i in range(SIDE)
                ],
            )
            room = code.at("%room", pair, 2 * HALF * COMPLEX)
            for k in range(HALF):
                (re, im), (mirror_re, mirror_im) = z[k], z[-k % SIDE]
                first = code.add(re, mirror_re), code.subtract(im, mirror_im)
                second = code.add(im, mirror_im), code.subtract(mirror_re, re)
                _store(code, first, code.at(room, k * COMPLEX))
                _store(code, second, code.at(room, (HALF + k) * COMPLEX))
        with code.loop(HALF) as kx:
            room = code.at("%room", kx, COMPLEX)
            rows = [_load(code, code.at(room, row * HALF * COMPLEX)) for row in range(SIDE)]
            place = code.at(spectrum, kx, SIDE, "%gap")
            column = fourier(code, rows)
            code.store(column[0][0], code.at(sums, kx, LANES))
            for ky, (re, im) in enumerate(column):
                here = code.at(place, ky, "%gap")
                if reduced:
                    code.store(code.pair(re, im), here)
                else:
                    _store(code, (re, im), here)
        for half in range(0, size, LANES):
            code.store(ZERO, code.at(spectrum, half))
    return code


def layer(
    code: Code,
    keep: Callable[[Complex, str], None],
    multiply: Callable[[str], None],
    *,
    number: int,
    together: int,
) -> None:
    """The product of `tiles` spectra with one of the layer, and the transform back along y.

    `weights` is the layer's spectrum along x only: (kx, dy, channel) complex vectors of outputs.
    `spectrum` is (kx, ky, together) of `_forward`, `columns` (tile, y, kx) complex vectors.
    `keep` writes one of the layer's complex vectors to its place in `own`, which holds SIDE times
    `FREQUENCY` numbers; for one kx, `multiply` takes `spectrum` from the place that it is given to
    `products`, (together, ky) complex vectors. `number` is how long a frequency is in `spectrum`.
    """
    with code.loop(HALF) as kx:
        with code.loop(LANES) as channel:
            place = code.at(code.at("%weights", kx, TAPS * LANES * COMPLEX), channel, COMPLEX)
            taps = [_load(code, code.at(place, dy * LANES * COMPLEX)) for dy in range(TAPS)]
            taps += [(ZERO, ZERO)] * (SIDE - TAPS)
            own = code.at("%own", channel, number)
            for frequency, value in enumerate(inverse_fourier(code, taps)):
                keep(value, code.at(own, frequency * FREQUENCY))
        multiply(code.at("%spectrum", kx, SIDE * together * number))
        with code.loop("%tiles") as tile:
            place = code.at("%products", tile, SIDE * COMPLEX)
            column = [_load(code, code.at(place, k * COMPLEX)) for k in range(SIDE)]
            there = code.at(code.at("%columns", tile, VALID * HALF * COMPLEX), kx, COMPLEX)
            for y, value in enumerate(inverse_fourier(code, column)[:VALID]):
                _store(code, value, code.at(there, y * HALF * COMPLEX))


def _layer(of: Blocks, *, reduced: bool) -> Code:
    code = Code(
        "layer",
        pointers=("spectrum", "weights", "own", "products", "columns"),
        sizes=("blocks", "tiles"),
    )
    size = LANES if reduced else COMPLEX

    def keep(value: Complex, place: str) -> None:
        if reduced:
            code.store(code.pair(*value, minus=True), place)
        else:
            _store(code, value, place)

    def multiply(of_column: str) -> None:
        with code.loop(SIDE) as ky, code.loop("%blocks") as block:
            of_tiles = code.at(code.at(of_column, ky, of.together * size), block, of.tiles * size)
            there = code.at(code.at("%products", block, of.tiles * SIDE * COMPLEX), ky, COMPLEX)
            found = _product(
                code, of_tiles, code.at("%own", ky, FREQUENCY), of.tiles, reduced=reduced
            )
            for number, product in enumerate(found):
                _store(code, product, code.at(there, number * SIDE * COMPLEX))

    layer(code, keep, multiply, number=size, together=of.together)
    return code


def _product(
    code: Code, spectrum: str, weights: str, tiles: int, *, reduced: bool
) -> list[Complex]:
    """So many tiles' complex vectors of outputs at one frequency: sums over the channels."""
    sums = [(code.variable(ZERO), code.variable(ZERO)) for _ in range(tiles)]
    size = LANES if reduced else COMPLEX
    with code.loop(LANES) as channel:
        place, of_tile = code.at(weights, channel, size), code.at(spectrum, channel)
        if reduced:
            for_real = code.load(place)  # (re, -im)
            for_imaginary = code.pair_turned(for_real)  # (im, re)
        else:
            w_re, w_im = _load(code, place)
            minus_im = code.negative(w_im)
        for tile, places in enumerate(sums):
            real, imaginary = map(code.load, places)
            number = code.load_each(code.at(of_tile, tile * size))
            if reduced:
                real = code.pair_product(number, for_real, real)
                imaginary = code.pair_product(number, for_imaginary, imaginary)
            else:
                real = code.multiply_add(number, w_re, real)
                imaginary = code.multiply_add(number, w_im, imaginary)
                number = code.load_each(code.at(of_tile, tile * size + LANES))
                real = code.multiply_add(number, minus_im, real)
                imaginary = code.multiply_add(number, w_re, imaginary)
            code.store(real, places[0])
            code.store(imaginary, places[1])
    return [(code.load(real), code.load(imaginary)) for real, imaginary in sums]


def _backward(*, reduced: bool) -> Code:
    """The transform back along x, the bias and the ReLU, for one vector of the outputs.

    `bias` is (tile, 128) from that vector on. `values` is (tile, y, x), each pixel sixteen words:
    one vector, or two of halves, of which this is the one that it begins with.
    """
    code = Code(
        "backward",
        pointers=("columns", "bias", "values"),
        sizes=("tiles",),
    )
    with code.loop("%tiles") as tile:
        bias = code.load(code.at("%bias", tile, PLANES * LANES))
        with code.loop(VALID // 2) as pair:  # two rows at once, as one complex row
            place = code.at("%columns", tile, VALID * HALF * COMPLEX)
            place = code.at(place, pair, 2 * HALF * COMPLEX)
            z: list[Complex] = [(ZERO, ZERO)] * SIDE
            for k in range(HALF):
                re, im = _load(code, code.at(place, k * COMPLEX))
                next_re, next_im = _load(code, code.at(place, (HALF + k) * COMPLEX))
                if k == 0:
                    z[k] = code.add(re, bias), code.add(next_re, bias)
                elif 2 * k == SIDE:
                    z[k] = re, next_re
                else:
                    z[k] = code.subtract(re, next_im), code.add(im, next_re)
                    z[SIDE - k] = code.add(re, next_im), code.subtract(next_re, im)
            there = code.at("%values", tile, VALID * VALID * LANES)
            there = code.at(there, pair, 2 * VALID * LANES)
            for x, both in enumerate(inverse_fourier(code, z)[:VALID]):
                for row, value in enumerate(both):
                    positive, here = code.larger(value), code.at(there, (row * VALID + x) * LANES)
                    (code.store_halves if reduced else code.store)(positive, here)
    return code


def _head(of: Blocks, *, reduced: bool) -> Code:
    """The two 1 x 1 layers on blocks of pixels.

    `values` are as many of `_backward` as the 128 channels take, one after the other, each with
    room for `of.together` tiles. `weights` is (block of `of.planes` vectors of outputs, channel or
    pair of them, vector, 16), `last` the weights of the last layer.
    """
    code = Code(
        "head",
        pointers=("values", "weights", "bias", "last", "out"),
        sizes=("blocks",),
    )
    multiply = code.pair_product if reduced else code.multiply_add
    parts = PLANES // 2 if reduced else PLANES
    pixels, together = of.pixels, of.planes
    with code.loop("%blocks") as block:
        here = code.at("%values", block, pixels * LANES)
        totals = [code.variable(ZERO) for _ in range(pixels)]
        with code.loop(PLANES // together) as planes:
            biases = code.at("%bias", planes, together * LANES)
            of_planes = code.at("%weights", planes, parts * LANES * together * LANES)
            places = [code.at(biases, plane * LANES) for plane in range(together)]
            sums = [[code.variable(code.load(place)) for place in places] for _ in range(pixels)]
            with code.loop(parts) as part, code.loop(LANES) as channel:
                place = code.at(of_planes, part, LANES * together * LANES)
                place = code.at(place, channel, together * LANES)
                weights = [code.load(code.at(place, plane * LANES)) for plane in range(together)]
                at_channel = code.at(code.at(here, part, of.together * VALID**2 * LANES), channel)
                for pixel, of_pixel in enumerate(sums):
                    number = code.load_each(code.at(at_channel, pixel * LANES))
                    for one, weight in zip(of_pixel, weights, strict=True):
                        code.store(multiply(number, weight, code.load(one)), one)
            lasts = code.at("%last", planes, together * LANES)
            for plane in range(together):
                last = code.load(code.at(lasts, plane * LANES))
                for of_pixel, total in zip(sums, totals, strict=True):
                    positive = code.larger(code.load(of_pixel[plane]))
                    code.store(code.multiply_add(positive, last, code.load(total)), total)
        for pixel, total in enumerate(totals):
            code.store_sum(code.load(total), code.at(code.at("%out", block, pixels), pixel))
    return code


def _load(code: Code, place: str) -> Complex:
    return code.load(place), code.load(code.at(place, LANES))


def _store(code: Code, value: Complex, place: str) -> None:
    code.store(value[0], place)
    code.store(value[1], code.at(place, LANES))


def without_products(of: Blocks, *, reduced: bool) -> list[Code]:
    """Those that are the same however one multiplies: from pixels, pools and transforms."""
    return [
        _convolution(7, 3, of.seven, reduced=False),
        _pool(reduced=False),
        *([_pool(reduced=True)] if reduced else []),
        _forward(reduced=reduced),
        _backward(reduced=reduced),
    ]


@cache
def kernels(of: Blocks, *, reduced: bool) -> dict[str, Callable[..., None]]:
    """All of them by name; compiled once in a process."""
    codes = [
        *without_products(of, reduced=reduced),
        _convolution(5, LANES, of.five, reduced=reduced),
        _layer(of, reduced=reduced),
        _head(of, reduced=reduced),
    ]
    return compiled(codes)
