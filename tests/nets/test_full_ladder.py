from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_nucbudget.nets.full_ladder import LEVELS, FullLadder
from napari_nucbudget.nets.ladder import GammaLadder, combine


@pytest.fixture
def ladder():
    network = FullLadder()
    network.initialise(torch.Generator().manual_seed(0))
    return network


def patches(n, seed=1):
    return torch.randn(n, 3, 27, 27, generator=torch.Generator().manual_seed(seed))


def both_paths(ladder, x):
    generator = torch.Generator().manual_seed(2)
    groups = (len(x),)
    corrupted = ladder.encode(x, groups=groups, noise=0.3, generator=generator, keep=True)
    return corrupted, ladder.encode(x, groups=groups, keep=True)


def test_the_encoder_is_the_gamma_ladders(ladder):
    gamma = GammaLadder()
    gamma.initialise(torch.Generator().manual_seed(0))
    full = ladder.state_dict()
    assert all(torch.equal(value, full[name]) for name, value in gamma.state_dict().items())
    x = patches(4)
    assert torch.equal(ladder.encode(x, groups=(4,)).logits, gamma.encode(x, groups=(4,)).logits)


def test_each_layer_has_an_inverse_of_its_own_size(ladder):
    """Shapes of each level's z are those that come down to it."""
    _, clean = both_paths(ladder, patches(2))
    above = [*clean.below[1:], clean]
    for level, name, layer in zip(clean.below, ladder.layers, above, strict=True):
        assert ladder.back(name, layer.z).shape == level.z.shape


def test_a_pool_is_undone_by_copying(ladder):
    down = ladder.back("conv2", torch.randn(2, 48, 10, 10))
    assert down.shape == (2, 36, 24, 24)
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        assert torch.equal(down[:, :, ::2, ::2], down[:, :, dy::2, dx::2])


def test_a_convolution_is_undone_by_the_full_one(ladder):
    """Against correlation of the padded map with the turned kernel."""
    z = torch.randn(2, 36, 24, 24)
    kernel = ladder.back_conv1.weight.transpose(0, 1).flip(2, 3)
    expected = F.conv2d(F.pad(z, (3, 3, 3, 3)), kernel)
    torch.testing.assert_close(ladder.back("conv1", z), expected, rtol=1e-4, atol=1e-4)


def test_all_combinators_start_at_an_estimate_of_zero(ladder):
    """So the first costs are known: mean of ((0 - m) / s - z)^2, and of x^2 at the input."""
    x = patches(6)
    corrupted, clean = both_paths(ladder, x)
    costs = ladder.denoising_costs(corrupted, clean, slice(None))
    assert list(costs) == ["dense3", *reversed(LEVELS)]
    torch.testing.assert_close(costs["input"], (x**2).mean())
    for name, level in zip(LEVELS[1:], clean.below[1:], strict=True):
        axes = (0, 2, 3) if level.z.ndim == 4 else (0,)
        mean = level.before.mean(axes, keepdim=True)
        std = level.before.std(axes, unbiased=False, keepdim=True)
        torch.testing.assert_close(
            costs[name], ((-mean / std - level.z) ** 2).mean(), rtol=1e-4, atol=1e-4
        )


def test_the_top_cost_is_the_gamma_ladders(ladder):
    corrupted, clean = both_paths(ladder, patches(6))
    costs = ladder.denoising_costs(corrupted, clean, slice(None), lowest=len(LEVELS))
    expected = ladder.denoising_cost(corrupted, clean, slice(None))
    assert torch.equal(costs["dense3"], expected)


def test_a_combinator_acts_alike_on_all_pixels_of_a_channel():
    z, u = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    vectors = torch.randn(10, 4)
    by_map = combine(z, u, vectors)
    by_pixel = combine(z[:, :, 1, 2], u[:, :, 1, 2], vectors)
    torch.testing.assert_close(by_map[:, :, 1, 2], by_pixel)


def test_all_weights_of_the_decoder_learn(ladder):
    with torch.no_grad():
        for name, parameter in ladder.named_parameters():
            if name.startswith("combinator"):
                parameter.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(3))
    corrupted, clean = both_paths(ladder, patches(6))
    sum(ladder.denoising_costs(corrupted, clean, slice(None)).values()).backward()
    for name, parameter in ladder.named_parameters():
        if name.startswith(("back_", "combinator")):
            assert parameter.grad.abs().sum() > 0, name


def test_folding_gives_the_plain_network(ladder):
    x = patches(16)
    ladder.estimate(x)
    expected = ladder.encode(x, groups=(16,)).logits
    torch.testing.assert_close(ladder.folded().eval()(x), expected, atol=1e-4, rtol=1e-4)
