"""The fast detector: few operations, normalisations that fold away, maps as large as the image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

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
