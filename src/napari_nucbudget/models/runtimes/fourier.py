"""Discrete Fourier transforms as straight lines of `lanes.Code`.

Each of the sixteen lanes is transformed by itself. The sizes are products of 2, 3, 4 and 5: coprime
factors are split as Good and Thomas do (Good, J. R. Stat. Soc. B 20, 1958), which needs no
multiplications in between, others as Cooley and Tukey do (Math. Comput. 19, 1965).
"""

from __future__ import annotations

import math

from napari_nucbudget.models.runtimes.lanes import Code

__all__ = ["Complex", "fourier", "inverse_fourier"]

Complex = tuple[str, str]
"""Real and imaginary values."""


def fourier(code: Code, x: list[Complex]) -> list[Complex]:
    """X[k] = sum over n of x[n] exp(-2 pi i n k / N)."""
    size = len(x)
    if size in _SMALL:
        return _SMALL[size](code, x)
    for factor in (16, 9, 8, 5, 4, 3, 2):
        other = size // factor
        if size % factor == 0 and other > 1 and math.gcd(factor, other) == 1:
            return _coprime(code, x, factor, other)
    for factor in (4, 3, 2, 5):
        if size % factor == 0:
            return _mixed(code, x, factor, size // factor)
    raise ValueError(f"{size} is no product of 2, 3, 4 and 5")


def inverse_fourier(code: Code, x: list[Complex]) -> list[Complex]:
    """x[n] = sum over k of X[k] exp(+2 pi i n k / N), without the factor 1 / N."""
    return [_swapped(y) for y in fourier(code, [_swapped(value) for value in x])]


def _swapped(a: Complex) -> Complex:
    return a[1], a[0]


def _add(code: Code, a: Complex, b: Complex) -> Complex:
    return code.add(a[0], b[0]), code.add(a[1], b[1])


def _subtract(code: Code, a: Complex, b: Complex) -> Complex:
    return code.subtract(a[0], b[0]), code.subtract(a[1], b[1])


def _times(code: Code, a: Complex, factor: float) -> Complex:
    return code.times(a[0], factor), code.times(a[1], factor)


def _plus_and_minus_i(code: Code, a: Complex, b: Complex) -> tuple[Complex, Complex]:
    """a - i b, then a + i b."""
    return (
        (code.add(a[0], b[1]), code.subtract(a[1], b[0])),
        (code.subtract(a[0], b[1]), code.add(a[1], b[0])),
    )


def _turned(code: Code, a: Complex, k: int, size: int) -> Complex:
    """a exp(-2 pi i k / size)"""
    eighths, rest = divmod(8 * (k % size), size)
    if rest:
        cosine, sine = math.cos(2 * math.pi * k / size), math.sin(2 * math.pi * k / size)
        real = code.add(code.times(a[0], cosine), code.times(a[1], sine))
        return real, code.subtract(code.times(a[1], cosine), code.times(a[0], sine))
    if eighths % 2:
        both, apart = code.add(a[0], a[1]), code.subtract(a[1], a[0])
        a = _times(code, (both, apart), math.sqrt(0.5))
    quarters = eighths // 2
    if quarters % 2:
        a = a[1], code.negative(a[0])
    return (code.negative(a[0]), code.negative(a[1])) if quarters >= 2 else a


def _one(code: Code, x: list[Complex]) -> list[Complex]:
    return x


def _two(code: Code, x: list[Complex]) -> list[Complex]:
    return [_add(code, x[0], x[1]), _subtract(code, x[0], x[1])]


def _three(code: Code, x: list[Complex]) -> list[Complex]:
    both, apart = _add(code, x[1], x[2]), _subtract(code, x[1], x[2])
    middle = _add(code, x[0], _times(code, both, -0.5))
    side = _times(code, apart, math.sqrt(0.75))
    return [_add(code, x[0], both), *_plus_and_minus_i(code, middle, side)]


def _four(code: Code, x: list[Complex]) -> list[Complex]:
    even, odd = _two(code, [x[0], x[2]]), _two(code, [x[1], x[3]])
    first, last = _plus_and_minus_i(code, even[1], odd[1])
    return [_add(code, even[0], odd[0]), first, _subtract(code, even[0], odd[0]), last]


def _five(code: Code, x: list[Complex]) -> list[Complex]:
    outer, inner = _two(code, [x[1], x[4]]), _two(code, [x[2], x[3]])
    turns = [2 * math.pi * k / 5 for k in (1, 2)]
    out = [_add(code, x[0], _add(code, outer[0], inner[0]))] * 5
    for k in (1, 2):
        near, far = turns[k - 1], turns[2 - k]
        middle = _add(code, x[0], _times(code, outer[0], math.cos(near)))
        middle = _add(code, middle, _times(code, inner[0], math.cos(far)))
        side = _times(code, outer[1], math.sin(near))
        inner_side = _times(code, inner[1], math.sin(far))
        side = (_add if k == 1 else _subtract)(code, side, inner_side)
        out[k], out[5 - k] = _plus_and_minus_i(code, middle, side)
    return out


_SMALL = {1: _one, 2: _two, 3: _three, 4: _four, 5: _five}


def _coprime(code: Code, x: list[Complex], a: int, b: int) -> list[Complex]:
    size = a * b
    rows = [fourier(code, [x[(a * i + b * j) % size] for i in range(b)]) for j in range(a)]
    out = list(x)
    for at_b in range(b):
        column = fourier(code, [rows[j][at_b] for j in range(a)])
        for k in range(at_b, size, b):  # its index modulo a is where it lies in the column
            out[k] = column[k % a]
    return out


def _mixed(code: Code, x: list[Complex], a: int, b: int) -> list[Complex]:
    rows = [fourier(code, [x[b * j + i] for j in range(a)]) for i in range(b)]
    out = list(x)
    for k in range(a):
        column = fourier(code, [_turned(code, rows[i][k], i * k, a * b) for i in range(b)])
        for j in range(b):
            out[k + a * j] = column[j]
    return out
