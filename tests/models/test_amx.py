"""Products in the tile registers of Intel AMX, against torch."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("llvmlite", reason="llvmlite (extra fast) is not installed")

from napari_nucbudget.models.runtimes.amx import AmxCode, has_amx
from napari_nucbudget.models.runtimes.lanes import compiled

needs_amx = pytest.mark.skipif(not has_amx(), reason="no Intel AMX here")


def product():
    """The function that adds to c (16, 16) a (16 rows of 40 words) times b (16, 16, 2)."""
    code = AmxCode("product", pointers=("a", "b", "c"), sizes=("step",))
    with code.tiles():
        code.load_tile(0, "%c", 16)
        code.load_tile(1, "%a", "%step")
        code.load_tile(7, "%b", 16)
        code.add_product(0, 1, 7)
        code.store_tile(0, "%c", 16)
    return compiled([code])["product"]


def random(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))).to(dtype)


@needs_amx
def test_a_product_of_tiles_is_that_of_torch():
    a, b, c = random(16, 80), random(16, 16, 2), random(16, 16, dtype=torch.float32)
    columns = b.double().transpose(1, 2).flatten(0, 1)  # (32, column)
    expected = c.double() + a[:, :32].double() @ columns
    product()(a.data_ptr(), b.data_ptr(), c.data_ptr(), 40)
    torch.testing.assert_close(c.double(), expected, rtol=1e-5, atol=1e-5)


@needs_amx
def test_a_step_of_zero_repeats_a_row():
    code = AmxCode("repeat", pointers=("x", "y"))
    with code.tiles():
        code.zero_tile(3)
        code.load_tile(3, "%x", 0)
        code.store_tile(3, "%y", 20)
    x, y = torch.arange(16.0), torch.zeros(16, 20)
    compiled([code])["repeat"](x.data_ptr(), y.data_ptr())
    assert torch.equal(y[:, :16], x.expand(16, 16))
    assert not y[:, 16:].any()


class SizesCode(AmxCode):
    def store_sizes(self, place: str) -> None:
        self._do(f"call void @llvm.x86.sttilecfg(ptr {place})")


@needs_amx
def test_other_code_finds_the_registers_as_it_left_them():
    code = SizesCode("sizes", pointers=("before", "inside", "after"))
    code.store_sizes("%before")
    with code.tiles():
        code.store_sizes("%inside")
    code.store_sizes("%after")
    before, inside, after = (torch.zeros(64, dtype=torch.uint8) for _ in range(3))
    compiled([code])["sizes"](before.data_ptr(), inside.data_ptr(), after.data_ptr())
    assert inside.tolist() == [1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8]
    assert torch.equal(after, before)
    assert not torch.equal(after, inside)


@needs_amx
def test_torch_can_use_them_before_and_after():
    a, b = random(37, 45), random(45, 19)
    expected = a.double() @ b.double()
    ours = random(16, 32), random(16, 16, 2), random(16, 16, dtype=torch.float32)
    run = product()
    for _ in range(3):
        torch.testing.assert_close((a @ b).double(), expected, rtol=0.02, atol=0.1)
        run(*(values.data_ptr() for values in ours), 16)


@pytest.mark.parametrize("feature", ["amx-tile", "amx-bf16"])
def test_a_processor_that_lacks_a_part_of_it_has_none(monkeypatch, feature):
    monkeypatch.setattr(
        "napari_nucbudget.models.runtimes.amx.has_feature", lambda name: name != feature
    )
    assert not has_amx.__wrapped__()


def test_on_another_system_it_is_not_asked_for(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("napari_nucbudget.models.runtimes.amx.has_feature", lambda name: True)
    assert not has_amx.__wrapped__()
