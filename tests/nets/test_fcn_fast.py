"""The fast detector: few operations, normalisations that fold away, maps as large as the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_nucbudget.nets.fcn_fast import FcnFast, FcnFastConfig
from napari_nucbudget.nets.fcn_proximity import FcnProximity


def operations_per_pixel(network: nn.Module, side: int = 64) -> float:
    """Multiplications and additions of the convolutions, counted from their outputs' sizes."""
    total = 0

    def count(layer: nn.Conv2d, _: object, out: torch.Tensor) -> None:
        nonlocal total
        total += 2 * layer.weight[0].numel() * out.numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]  # type: ignore[arg-type]
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return total / side**2


def test_it_needs_a_fiftieth_of_the_operations_of_table_1() -> None:
    assert operations_per_pixel(FcnProximity()) == pytest.approx(558_900, rel=1e-3)
    assert operations_per_pixel(FcnFast()) < operations_per_pixel(FcnProximity()) / 50


def test_folding_the_normalisations_away_changes_nothing() -> None:
    network = FcnFast(FcnFastConfig(batch_norm=True))
    generator = torch.Generator().manual_seed(3)
    network.initialise(generator)
    nn.init.normal_(network.last.weight, generator=generator)
    network.train()
    for _ in range(3):  # statistics that are not the initial ones
        network(2 + torch.randn(2, 3, 40, 48, generator=generator))
    network.eval()
    plain = network.double().folded().double().eval()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    x = torch.randn(1, 3, 41, 50, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(plain(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 3, 20])
@pytest.mark.parametrize("shape", [(41, 50), (128, 90), (255, 81), (256, 64), (491, 203)])
def test_bands_of_a_large_image_give_the_values_of_the_whole(
    shape: tuple[int, int], depth: int
) -> None:
    network = FcnFast(FcnFastConfig(depth=depth)).double()
    generator = torch.Generator().manual_seed(4)
    network.initialise(generator)
    nn.init.normal_(network.last.weight, generator=generator)
    x = torch.randn(2, 3, *shape, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        whole = network(x)
        error = (torch.cat(list(in_bands(network, x)), 2) - whole).abs().max() / whole.abs().max()
    assert float(error) < 1e-12


def test_the_skip_is_a_layer_over_the_pixels_of_each_cell_side_by_side() -> None:
    network = FcnFast().double()
    generator = torch.Generator().manual_seed(5)
    network.initialise(generator)
    half = torch.randn(2, 16, 12, 10, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        expected = network.skip(nn.functional.pixel_unshuffle(half, 2))
        torch.testing.assert_close(network.skipped(half), expected, rtol=1e-12, atol=1e-12)


def in_bands(network: FcnFast, x: torch.Tensor) -> Iterator[torch.Tensor]:
    """Parts of the map, from the top."""
    bands, rows = network.bands(), network.band_rows
    assert bands is not None
    *first, end = range(0, max(1, x.shape[2] - rows + 1), rows)
    for y in first:
        yield bands(x[:, :, y : y + rows], last=False)
    yield bands(x[:, :, end:], last=True)


def test_while_it_is_trained_there_are_no_bands() -> None:
    assert FcnFast(FcnFastConfig(batch_norm=True)).bands() is None


def test_bands_keep_every_layer_small() -> None:
    network = FcnFast()
    x = torch.zeros(1, 3, 1600, 1600)
    with torch.inference_mode(), _Largest() as whole:
        network(x)
    with torch.inference_mode(), _Largest() as bands:
        for _ in in_bands(network, x):
            pass
    assert whole.bytes > 32 << 20  # glibc's limit, from which on memory is cleared at every use
    assert bands.bytes < 8 << 20


class _Largest(TorchDispatchMode):
    """Bytes of the largest tensor that any operation inside gives."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not func.is_view:
            self.bytes = max(self.bytes, out.nbytes)
        return out
