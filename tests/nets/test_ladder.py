from __future__ import annotations

import pytest
import torch

from napari_nucbudget.nets.ladder import GammaLadder, _corrupt


@pytest.fixture
def ladder():
    network = GammaLadder()
    network.initialise(torch.Generator().manual_seed(0))
    return network


def patches(n, seed=1):
    return torch.randn(n, 3, 27, 27, generator=torch.Generator().manual_seed(seed))


def test_the_combinator_starts_at_an_estimate_of_zero(ladder):
    generator = torch.Generator().manual_seed(2)
    corrupted = ladder.encode(patches(6), groups=(6,), noise=0.3, generator=generator)
    assert (ladder.denoise(corrupted, slice(None)) == 0).all()


def test_labelled_rows_do_not_depend_on_unlabelled_ones(ladder):
    labelled = patches(4)
    alone = ladder.encode(labelled, groups=(4,)).logits
    for seed in (5, 6):
        both = torch.cat([labelled, 10 * patches(7, seed)])
        torch.testing.assert_close(ladder.encode(both, groups=(4, 7)).logits[:4], alone)


def test_each_group_is_normalised_by_itself(ladder):
    z = ladder.encode(torch.cat([patches(8), 3 + patches(16, 3)]), groups=(8, 16)).z
    for rows in (z[:8], z[8:]):
        torch.testing.assert_close(rows.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(rows.std(0, unbiased=False), torch.ones(3), atol=1e-4, rtol=0)


def test_the_denoising_cost_is_that_of_the_original(ladder):
    """By hand for an estimate of 0: mean of ((0 - m) / s - z)^2."""
    x = patches(9)
    clean = ladder.encode(x, groups=(9,))
    expected = ((-clean.mean / clean.std - clean.z) ** 2).mean()
    torch.testing.assert_close(ladder.denoising_cost(clean, clean, slice(None)), expected)


def test_the_gradient_flows_through_the_clean_path(ladder):
    clean = ladder.encode(patches(9), groups=(9,))
    corrupted = ladder.encode(
        patches(9), groups=(9,), noise=0.3, generator=torch.Generator().manual_seed(0)
    )
    corrupted.z, corrupted.logits = corrupted.z.detach(), corrupted.logits.detach()
    ladder.denoising_cost(corrupted, clean, slice(None)).backward()
    assert ladder.conv1.weight.grad.abs().sum() > 0


def test_folding_keeps_the_predictions(ladder):
    with torch.no_grad():
        for name, parameter in ladder.named_parameters():
            if name.startswith(("beta", "gamma")):
                parameter.normal_(1, 0.3)
    x = patches(32)
    ladder.estimate(x)
    expected = ladder.encode(x, groups=(32,)).logits
    torch.testing.assert_close(ladder.folded().eval()(x), expected, atol=1e-4, rtol=1e-4)


def test_only_an_estimate_moves_the_statistics(ladder):
    before = {k: v.clone() for k, v in ladder.named_buffers()}
    ladder.encode(patches(8), groups=(8,), noise=0.3, generator=torch.Generator())
    assert all(torch.equal(v, before[k]) for k, v in ladder.named_buffers())
    ladder.estimate(patches(8))
    assert not torch.equal(ladder.mean_conv1, before["mean_conv1"])


def test_noise_has_its_spread_and_follows_the_seed(ladder):
    x = torch.zeros(64, 3, 27, 27)
    first, again, other = (
        _corrupt(x, 0.3, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert abs(float(first.mean())) < 0.005
    assert abs(float(first.std()) - 0.3) < 0.005


def test_noise_is_the_same_in_both_memory_orders_but_for_its_place(ladder):
    x = torch.zeros(8, 3, 27, 27)
    last = x.contiguous(memory_format=torch.channels_last)
    drawn = [_corrupt(v, 1.0, torch.Generator().manual_seed(0)) for v in (x, last)]
    assert drawn[1].is_contiguous(memory_format=torch.channels_last)
    values = [v.flatten().sort().values for v in drawn]
    assert torch.equal(*values)
