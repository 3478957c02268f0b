"""Vectors of sixteen numbers, and Fourier transforms of them, against torch."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("llvmlite", reason="llvmlite (extra fast) is not installed")

from napari_nucbudget.models.runtimes.fourier import fourier, inverse_fourier
from napari_nucbudget.models.runtimes.lanes import ZERO, Code, compiled, has_bfloat16

needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(), reason="this processor does not multiply pairs of bfloat16"
)


def transform(size: int, given: int, *, inverse: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Random complex numbers, of which those from `given` on are zero, and their transform."""
    code = Code("transform", pointers=("x", "y"))
    x = [
        (code.load(code.at("%x", 32 * n)), code.load(code.at("%x", 32 * n + 16)))
        for n in range(given)
    ]
    x += [(ZERO, ZERO)] * (size - given)
    for k, (re, im) in enumerate((inverse_fourier if inverse else fourier)(code, x)):
        code.store(re, code.at("%y", 32 * k))
        code.store(im, code.at("%y", 32 * k + 16))
    values = torch.randn(given, 2, 16, generator=torch.Generator().manual_seed(size))
    found = torch.empty(size, 2, 16)
    compiled([code])["transform"](values.data_ptr(), found.data_ptr())
    padded = torch.zeros(size, 2, 16, dtype=torch.float64)
    padded[:given] = values
    return torch.complex(padded[:, 0], padded[:, 1]), torch.complex(found[:, 0], found[:, 1])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 16, 20, 25, 27, 32, 36, 48, 60])
def test_a_transform_is_that_of_torch(size):
    x, found = transform(size, size, inverse=False)
    torch.testing.assert_close(found, torch.fft.fft(x, dim=0).to(found.dtype), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "given"), [(48, 48), (48, 11), (40, 1), (16, 3)])
def test_the_way_back_lacks_the_factor_and_zeros_may_be_left_out(size, given):
    x, found = transform(size, given, inverse=True)
    expected = torch.fft.ifft(x, dim=0, norm="forward")
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-5, atol=1e-5)


def test_zeros_that_are_known_cost_nothing():
    def operations(given: int) -> int:
        code = Code("transform", pointers=("x",))
        x = [(code.load("%x"), code.load("%x")) for _ in range(given)] + [(ZERO, ZERO)] * (
            48 - given
        )
        fourier(code, x)
        return str(code).count(" = f")

    assert operations(11) < 0.8 * operations(48)


@pytest.mark.parametrize("size", [7, 14, 22])
def test_another_factor_is_refused(size):
    code = Code("transform", pointers=("x",))
    with pytest.raises(ValueError, match="no product of 2, 3, 4 and 5"):
        fourier(code, [(code.load("%x"), ZERO)] * size)


def test_loops_carry_variables_along():
    code = Code("sums", pointers=("x", "y"), sizes=("rows", "columns"))
    with code.loop("%rows") as row:
        total = code.variable(ZERO)
        with code.loop("%columns") as column:
            value = code.load(code.at(code.at("%x", row, "%columns", 16), column, 16))
            code.store(code.add(code.load(total), value), total)
        code.store_sum(code.load(total), code.at("%y", row))
    x, found = torch.randn(3, 5, 16), torch.empty(3)
    compiled([code])["sums"](x.data_ptr(), found.data_ptr(), 3, 5)
    torch.testing.assert_close(found, x.sum((1, 2)), rtol=1e-5, atol=1e-5)


def test_the_larger_one_keeps_what_is_no_number():
    code = Code("positive", pointers=("x",))
    code.store(code.larger(code.load("%x")), "%x")
    x = torch.linspace(-2, 2, 16)
    x[3] = torch.nan
    expected = torch.relu(x)
    compiled([code])["positive"](x.data_ptr())
    torch.testing.assert_close(x, expected, equal_nan=True)


def halfway() -> torch.Tensor:
    """Numbers between two of bfloat16, just beside the middle, and in it."""
    bits = torch.tensor([0x3F80_8000, 0x3F81_8000, 0x3F80_7FFF, 0x3F80_8001], dtype=torch.int32)
    values = bits.view(torch.float32)
    return torch.cat([values, -values, values * 1e-3, torch.randn(4)])


@needs_bfloat16
def test_pairs_are_rounded_as_torch_rounds_and_multiplied():
    code = Code("pairs", pointers=("a", "b", "words", "turned", "sums", "halves"))
    a, b = code.load("%a"), code.load("%b")
    both = code.pair(a, b, minus=True)
    code.store(both, "%words")
    code.store(code.pair_turned(both), "%turned")
    code.store(code.pair_product(both, code.pair(b, b), a), "%sums")
    code.store_halves(a, "%halves")
    a, b = halfway(), halfway().flip(0)
    words, turned = (torch.empty(16, 2, dtype=torch.bfloat16) for _ in range(2))
    sums, halves = torch.empty(16), torch.empty(16, dtype=torch.bfloat16)
    places = [t.data_ptr() for t in (a, b, words, turned, sums, halves)]
    compiled([code])["pairs"](*places)
    low, high = a.bfloat16(), b.bfloat16()
    assert torch.equal(words, torch.stack([low, -high], 1))
    assert torch.equal(turned, torch.stack([high, low], 1))
    assert torch.equal(halves, low)
    expected = a.double() + (low.double() - high.double()) * high.double()
    torch.testing.assert_close(sums, expected.float(), rtol=1e-5, atol=1e-6)
