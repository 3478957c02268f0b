from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import ConfigError, TrainingError
from napari_nucbudget.learn.methods.gamma_ladder import GammaLadderMethod
from napari_nucbudget.learn.methods.ladder import LadderMethod
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.types.training import TrainConfig
from tests.typed_discs import untrained

CPU = torch.device("cpu")
NONE = (0.0,) * 5


def trained(method_class, typed, nothing, config, steps=4):
    method = method_class(typed, nothing, config)
    network = method.network().train()
    optimiser = torch.optim.AdamW(method.parameter_groups(network), lr=1e-3, weight_decay=0)
    for step in range(steps):
        optimiser.zero_grad()
        batch = method.batch(np.random.default_rng([0, step]))
        method.loss(network, batch, CPU)["total"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return network.state_dict()


def test_without_the_lower_costs_it_is_the_gamma_ladder(typed, nothing, config):
    config = replace(config, ladder_weights=NONE)
    gamma = trained(GammaLadderMethod, typed, nothing, config)
    full = trained(LadderMethod, typed, nothing, config)
    assert all(torch.equal(gamma[name], full[name]) for name in gamma)


def test_without_noise_and_costs_it_is_the_supervised_network(typed, nothing, config):
    config = replace(config, ladder_weights=NONE, denoising_weight=0.0, noise=0.0)
    plain = trained(SupervisedMethod, typed, nothing, config)
    full = trained(LadderMethod, typed, nothing, config)
    assert all(torch.equal(plain[name], full[name]) for name in plain)


def test_the_cost_is_the_weighted_sum_of_all_levels(typed, nothing, config):
    config = replace(config, ladder_weights=(7.0, 0.0, 5.0, 3.0, 2.0), denoising_weight=11.0)
    method = LadderMethod(typed, nothing, config)
    terms = method.loss(method.network(), method.batch(np.random.default_rng(0)), CPU)
    weights = {"input": 7, "conv2": 5, "dense1": 3, "dense2": 2, "dense3": 11}
    expected = sum(w * terms[f"denoising_{name}"].item() for name, w in weights.items())
    assert terms["denoising"].item() == pytest.approx(expected, rel=1e-5)
    total = terms["supervised"].item() + expected
    assert terms["total"].item() == pytest.approx(total, rel=1e-5)


def test_levels_below_the_lowest_weight_are_not_computed(typed, nothing, config):
    config = replace(config, ladder_weights=(0.0, 0.0, 0.0, 1.0, 1.0))
    method = LadderMethod(typed, nothing, config)
    terms = method.loss(method.network(), method.batch(np.random.default_rng(0)), CPU)
    assert {name for name in terms if name.startswith("denoising_")} == {
        "denoising_dense1", "denoising_dense2", "denoising_dense3",
    }  # fmt: skip


def test_unlabelled_rows_never_touch_the_supervised_term(typed, nothing, config):
    method = LadderMethod(typed, nothing, replace(config, noise=0.0))
    network = method.network()
    pixels, label, seed, unlabelled = method.batch(np.random.default_rng(0))
    terms = [
        method.loss(network, (pixels, label, seed, u), CPU)["supervised"].item()
        for u in (unlabelled, unlabelled[::-1] * 0.1, 255 - unlabelled)
    ]
    assert terms == pytest.approx([terms[0]] * 3, rel=1e-5)


def test_the_denoising_costs_fall(typed, nothing, config):
    config = replace(config, learning_rate=2e-3)
    method = LadderMethod(typed, nothing, config)
    network = method.network().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0)
    batch = method.batch(np.random.default_rng(0))
    course = []
    for _ in range(15):
        optimiser.zero_grad()
        terms = method.loss(network, batch, CPU)
        terms["total"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        course.append(terms["denoising_input"].item())
    assert course[-1] < 0.7 * course[0]


@pytest.mark.parametrize("method_class", [LadderMethod, GammaLadderMethod])
def test_ladders_over_another_network_are_refused(typed, nothing, config, method_class):
    chosen = replace(config, method="ladder", architecture="context-cnn")
    with pytest.raises(TrainingError, match="'ladder' is built over patch-cnn, not over context"):
        method_class(typed, nothing, chosen)


@pytest.mark.parametrize("method_class", [LadderMethod, GammaLadderMethod, SupervisedMethod])
def test_a_parent_is_refused_where_it_would_not_be_used(typed, nothing, config, method_class):
    with pytest.raises(TrainingError, match="takes no parent; use 'fine-tune'"):
        method_class(typed, nothing, config, untrained("patch-cnn"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2, 3], "must be five numbers"),
        ([1, 2, 3, 4, -5], "must be five numbers of at least 0"),
        ([1, 2, 3, 4, "x"], "must be a list of numbers"),
        (3.0, "must be a list of numbers"),
    ],
)
def test_wrong_weights_are_named(weights, message):
    with pytest.raises(ConfigError, match=f"ladder_weights {message}"):
        TrainConfig.from_dict({"ladder_weights": weights})
