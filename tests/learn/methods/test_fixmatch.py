from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import ConfigError, TrainingError
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.learn.methods.fixmatch import FixMatchMethod, pseudo_labels
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.types.progress import result_of
from napari_nucbudget.types.training import TrainConfig

CPU = torch.device("cpu")
EVERY_NETWORK = pytest.mark.parametrize(
    "network",
    [{}, {"batch_norm": False}, {"architecture": "context-cnn"}],
    ids=["patch-cnn", "patch-cnn-plain", "context-cnn"],
)


@EVERY_NETWORK
def test_without_the_unlabelled_term_it_is_supervised(typed, nothing, config, network, tmp_path):
    """Through the one loop, dropout included."""
    states = []
    for name in ("supervised", "fixmatch"):
        chosen = replace(config, method=name, unlabelled_weight=0.0, **network)
        result_of(fit(typed, nothing, chosen, out=tmp_path / name, device="cpu"))
        states.append(Classifier.load(tmp_path / name, device="cpu").network.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@EVERY_NETWORK
def test_unlabelled_rows_never_touch_the_supervised_term(typed, nothing, config, network):
    chosen = replace(config, **network)
    method, plain = (m(typed, nothing, chosen) for m in (FixMatchMethod, SupervisedMethod))
    net = method.network().train()
    *labelled, weak, strong = method.batch(np.random.default_rng(0))
    torch.manual_seed(5)
    expected = plain.loss(net, tuple(labelled), CPU)["supervised"]
    for w, s in ((weak, strong), (255 - weak, strong * 0.1)):
        torch.manual_seed(5)
        assert torch.equal(method.loss(net, (*labelled, w, s), CPU)["supervised"], expected)


@EVERY_NETWORK
def test_guesses_below_the_threshold_contribute_nothing(typed, nothing, config, network):
    unsure = replace(config, pseudo_threshold=1.0, **network)
    gradients = []
    for weight in (0.0, 1.0):
        method = FixMatchMethod(typed, nothing, replace(unsure, unlabelled_weight=weight))
        net = method.network().train()
        torch.manual_seed(5)
        terms = method.loss(net, method.batch(np.random.default_rng(0)), CPU)
        terms["total"].backward()
        gradients.append([p.grad for p in net.parameters() if p.grad is not None])
    assert terms["counted"] == 0
    assert terms["unlabelled"] == 0
    used = [g for g in gradients[1] if g.abs().sum() > 0]
    assert len(used) == len([g for g in gradients[0] if g.abs().sum() > 0])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=False))


def test_a_sure_guess_is_the_class_of_the_strong_view(typed, nothing, config):
    """By hand: with a threshold of 0 all guesses count, each as the class it names."""
    method = FixMatchMethod(typed, nothing, replace(config, pseudo_threshold=0.0))
    net = method.network().train()
    batch = method.batch(np.random.default_rng(0))
    terms = method.loss(net, batch, CPU)
    weak, strong = (
        net.encode(method._tensor(view, CPU), groups=(8,)).logits for view in batch[-2:]
    )
    expected = torch.nn.functional.cross_entropy(strong, weak.argmax(1))
    assert terms["counted"] == 1
    torch.testing.assert_close(terms["unlabelled"], expected.detach())


def test_no_gradient_flows_through_the_guess(typed, nothing, config, monkeypatch):
    method = FixMatchMethod(typed, nothing, replace(config, pseudo_threshold=0.0))
    net = method.network().train()
    batch = method.batch(np.random.default_rng(0))
    module = "napari_nucbudget.learn.methods.fixmatch._aside"
    monkeypatch.setattr(module, lambda network, x: torch.zeros(len(x), 3))
    assert not method.loss(net, batch, CPU)["unlabelled"].requires_grad


def test_strong_views_leave_the_running_statistics_alone(typed, nothing, config):
    method = FixMatchMethod(typed, nothing, replace(config, architecture="context-cnn"))
    *rest, strong = method.batch(np.random.default_rng(0))
    statistics = []
    for view in (strong, 255 - strong):
        net = method.network().train()
        fresh = {k: v.clone() for k, v in net.named_buffers()}
        method.loss(net, (*rest, view), CPU)
        statistics.append(dict(net.named_buffers()))
        assert net.training
        assert all(m.training for m in net.modules())
    for name, value in statistics[0].items():
        assert torch.equal(value, statistics[1][name])
        assert not torch.equal(value, fresh[name])


def test_weak_views_are_places_of_the_patch_and_nothing_else(typed, nothing, config):
    method = FixMatchMethod(typed, nothing, config)
    wide = method._pool[:1]
    (weak,) = method._placed(wide, np.random.default_rng(3))
    places = [wide[0, y : y + 27, x : x + 27] for y in range(5) for x in range(5)]
    turned = [np.rot90(p, k) for p in places for k in range(4)]
    assert any(np.array_equal(weak, v) for t in turned for v in (t, t[:, ::-1]))


def test_alignment_scales_guesses_to_the_shares_of_the_labels():
    prob = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.8, 0.2], [0.8, 0.2]])  # mean 0.7, 0.3
    label, counts = pseudo_labels(prob, threshold=0.5, share=torch.tensor([0.5, 0.5]))
    # 0.6 / 0.7 against 0.4 / 0.3, and 0.8 / 0.7 against 0.2 / 0.3
    assert label.tolist() == [1, 1, 0, 0]
    assert counts.all()
    assert pseudo_labels(prob, threshold=0.7)[0].tolist() == [0, 0, 0, 0]
    assert pseudo_labels(prob, threshold=0.7)[1].tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pseudo_threshold": 1.5}, "pseudo_threshold must lie in"),
        ({"unlabelled_weight": -1.0}, "unlabelled_weight must be at least 0"),
        ({"unlabelled_batch": 0}, "unlabelled_batch must be at least 1"),
        ({"strong_jitter": -0.1}, "strong_jitter must be at least 0"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(values)


def test_a_network_that_takes_windows_is_refused_with_those_that_do_not(typed, nothing, config):
    words = "'.*' learns from patches, and window-cnn takes windows; .* choose patch-cnn or context"
    with pytest.raises(TrainingError, match=words):
        FixMatchMethod(typed, nothing, replace(config, architecture="window-cnn"))


@pytest.mark.parametrize("setting", [{"find_steps": 1}, {"balance": True}])
def test_settings_for_windows_are_refused_elsewhere(typed, nothing, config, setting):
    (name,) = setting
    with pytest.raises(TrainingError, match=f"^{name} is for window-cnn, .* here is patch-cnn"):
        SupervisedMethod(typed, nothing, replace(config, **setting))
