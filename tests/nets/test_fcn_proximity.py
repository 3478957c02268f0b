"""Table 1 of the paper, layer by layer, and what our additions must not change."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_nucbudget.nets.fcn_proximity import FcnConfig, FcnProximity


def network(*, seed: int = 0, **config: object) -> FcnProximity:
    net = FcnProximity(FcnConfig(**config))  # type: ignore[arg-type]
    net.initialise(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        net.conv6.weight.mul_(100)
    return net.eval()


def small(**config: object) -> FcnProximity:
    return network(width=4, head_width=6, **config)


def image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_it_has_the_papers_number_of_parameters() -> None:
    assert sum(p.numel() for p in FcnProximity().parameters()) == 279_777


def test_the_layers_are_those_of_table_1() -> None:
    convolutions = [m for m in FcnProximity().modules() if isinstance(m, nn.Conv2d)]
    found = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions]
    assert found == [
        (3, 16, 7, 1),
        (16, 16, 5, 1),
        (16, 16, 5, 1),
        (16, 128, 11, 1),
        (128, 128, 1, 1),
        (128, 1, 1, 1),
    ]


def test_three_pools_of_3_by_3_with_stride_1_follow_the_first_three_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pools = []
    pool = torch.nn.functional.max_pool2d

    def spy(x: torch.Tensor, size: int, **options: int) -> torch.Tensor:
        pools.append((x.shape[1], size, options["stride"]))
        return pool(x, size, **options)

    monkeypatch.setattr(torch.nn.functional, "max_pool2d", spy)
    FcnProximity()(image(8, 8))
    assert pools == [(16, 3, 1)] * 3


def test_the_receptive_field_is_31_pixels_by_gradient() -> None:
    """Max-pools pass the gradient of one input only, so many random images are added up."""
    net = small()
    reached = torch.zeros(49, 49)
    for seed in range(60):
        x = image(49, 49, seed).requires_grad_()
        net(x)[0, 0, 24, 24].backward()
        assert x.grad is not None
        reached += x.grad.abs().sum(dim=(0, 1))
    rows, columns = reached.sum(1).nonzero(), reached.sum(0).nonzero()
    assert (int(rows.min()), int(rows.max())) == (24 - 15, 24 + 15)
    assert (int(columns.min()), int(columns.max())) == (24 - 15, 24 + 15)
    assert net.receptive_field == 31


def test_a_pixel_beyond_the_receptive_field_changes_nothing() -> None:
    net, x = small(), image(49, 49)
    with torch.no_grad():
        before = net(x)[0, 0, 24, 24]
        x[:, :, :, 24 + 16] = 50.0
        x[:, :, 24 - 16, :] = -50.0
        assert torch.equal(net(x)[0, 0, 24, 24], before)


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (17, 23), (32, 32), (33, 31)])
def test_the_map_has_the_images_size(size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert small()(image(*size)).shape == (1, 1, *size)


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("size", [(24, 24), (25, 31)])
def test_the_strided_output_is_the_dense_one_at_those_pixels(
    stride: int, size: tuple[int, int]
) -> None:
    net, x = small().double(), image(*size).double()
    with torch.no_grad():
        dense = net(x)
        for dy in range(stride):
            for dx in range(stride):
                strided = net(x, stride=stride, offset=(dy, dx))
                torch.testing.assert_close(strided, dense[:, :, dy::stride, dx::stride])


def with_statistics(net: FcnProximity) -> FcnProximity:
    """Batch norms as training leaves them: shifted, scaled, with running statistics."""
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.weight.shape
            with torch.no_grad():
                module.weight.copy_(torch.rand(shape, generator=generator) + 0.5)
                module.bias.copy_(torch.randn(shape, generator=generator))
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.copy_(torch.randn(shape, generator=generator))
                module.running_var.copy_(torch.rand(shape, generator=generator) + 0.2)
    return net


def test_folding_away_the_normalisation_changes_no_value() -> None:
    net = with_statistics(small(batch_norm=True)).eval()
    plain = net.folded().eval()
    x = image(40, 37)
    with torch.no_grad():
        torch.testing.assert_close(plain(x), net(x), rtol=1e-5, atol=1e-5)


def test_a_folded_network_is_table_1_itself() -> None:
    plain = FcnProximity(FcnConfig(batch_norm=True)).folded()
    assert plain.config == FcnConfig()
    assert sum(p.numel() for p in plain.parameters()) == 279_777
    assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())


def test_folding_leaves_the_network_in_training_as_it_was() -> None:
    net = with_statistics(small(batch_norm=True))
    before = copy.deepcopy(net.state_dict())
    net.folded()
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_a_seed_gives_the_same_weights() -> None:
    one, other, third = (network(seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert not torch.equal(one["conv1.weight"], third["conv1.weight"])


def test_the_papers_weights_are_drawn_from_n_0_1e_2() -> None:
    net = FcnProximity()
    net.initialise(torch.Generator().manual_seed(0), recipe="paper")
    weight, bias = (v.detach() for v in net.conv4.parameters())
    assert float(weight.std()) == pytest.approx(1e-2, rel=0.02)
    assert float(bias.abs().max()) == 0.0
