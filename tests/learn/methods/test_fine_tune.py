from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import ConfigError, TrainingError
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.learn.methods.fine_tune import FRESH_HEAD, FineTuneMethod
from napari_nucbudget.models.card_text import describe
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.progress import result_of
from napari_nucbudget.types.training import TrainConfig
from tests.typed_discs import typed_set, untrained

BOTH = pytest.mark.parametrize("architecture", ["patch-cnn", "context-cnn"])
ALL = pytest.mark.parametrize("architecture", ["patch-cnn", "context-cnn", "window-cnn"])
OTHER = ClassScheme(
    tuple(NucleusClass(n, c.color, c.key)
          for n, c in zip(("tumour", "stroma", "immune"), DEFAULT_CLASSES.classes, strict=True))
)  # fmt: skip


@pytest.fixture
def tune(typed, nothing, config, tmp_path):
    """Fine-tune a parent in some way; gives the model back."""

    def run(parent, way, labels=typed, **settings):
        chosen = replace(config, method="fine-tune", fine_tune=way, **settings)
        out = tmp_path / f"{parent.card.architecture}-{way}"
        result_of(fit(labels, nothing, chosen, out=out, parent=parent, device="cpu"))
        return Classifier.load(out, device="cpu")

    return run


def state(model):
    return model.network.state_dict()


@ALL
def test_the_head_alone_moves_on_frozen_features(tune, architecture):
    parent = untrained(architecture)
    before, after = state(parent), state(tune(parent, "head"))
    head = {id(p) for p in parent.network.head.parameters()}
    names = {name for name, p in parent.network.named_parameters() if id(p) in head}
    for name, value in before.items():
        assert torch.equal(value, after[name]) == (name not in names), name


@BOTH
def test_features_are_computed_once_and_are_those_of_prediction(
    typed, nothing, config, architecture, monkeypatch
):
    chosen = replace(config, method="fine-tune", fine_tune="head", stain_jitter=0.0)
    method = FineTuneMethod(typed, nothing, chosen, untrained(architecture))
    network = method.network().train()
    device = torch.device("cpu")
    seen = []
    genuine = type(network).features
    monkeypatch.setattr(
        type(network), "features", lambda self, x: (seen.append(len(x)), genuine(self, x))[1]
    )
    for step in range(3):
        method.loss(network, method.batch(np.random.default_rng(step)), device)
    assert sum(seen) == 8 * 18  # eight views of each labelled nucleus
    assert network.training
    torch.testing.assert_close(
        method._cached(network, device)[:18],
        genuine(
            network.eval(),
            method._tensor(
                method._augmented(method._labelled, np.random.default_rng([0, 8, 32_768])), device
            ),
        ),
    )


@pytest.mark.parametrize("architecture", ["context-cnn", "window-cnn"])
@pytest.mark.parametrize("way", ["all", "discriminative"])
def test_every_weight_moves_but_no_statistics(tune, way, architecture):
    parent = untrained(architecture)
    before, after = state(parent), state(tune(parent, way))
    kept = {name for name, _ in parent.network.named_buffers()}
    assert kept
    kept |= {name for name in before if name.startswith("find.")}  # types do not hang on it
    for name, value in before.items():
        assert torch.equal(value, after[name]) == (name in kept), name


def test_rates_fall_from_the_output_back(typed, nothing, config):
    chosen = replace(config, method="fine-tune", fine_tune="discriminative", layer_decay=0.5)
    method = FineTuneMethod(typed, nothing, chosen, untrained("context-cnn"))
    network = method.network()
    groups = method.parameter_groups(network)
    assert [g["scale"] for g in groups] == [1.0, 0.5, 0.25, 0.125, 0.0625]
    assert groups[0]["params"][0] is network.dense.weight
    assert any(p is network.near.stem.weight for p in groups[-1]["params"])


@pytest.mark.parametrize(
    ("way", "expected"),
    [("head", [1.0]), ("all", [0.3] * 8), ("discriminative", [0.3 * 0.5**d for d in range(8)])],
)
def test_a_network_of_windows_learns_more_slowly(typed, nothing, config, way, expected):
    chosen = replace(config, method="fine-tune", fine_tune=way, layer_decay=0.5)
    method = FineTuneMethod(typed, nothing, chosen, untrained("window-cnn"))
    network = method.network()
    groups = method.parameter_groups(network)
    assert [g["scale"] for g in groups] == pytest.approx(expected)
    assert groups[0]["params"][0] is network.dense.weight


@pytest.mark.parametrize(
    ("architecture", "way", "share", "kept"),
    [
        ("window-cnn", "all", None, 0.5),
        ("window-cnn", "discriminative", None, 0.5),
        ("window-cnn", "head", None, 0.0),
        ("window-cnn", "all", 0.0, 0.0),
        ("window-cnn", "head", 0.25, 0.25),
        ("patch-cnn", "all", None, 0.0),
        ("patch-cnn", "all", 0.75, 0.75),
    ],
)
def test_a_share_of_the_weights_is_the_parents(
    typed, nothing, config, architecture, way, share, kept
):
    chosen = replace(config, method="fine-tune", fine_tune=way, parent_share=share)
    parent = untrained(architecture)
    method = FineTuneMethod(typed, nothing, chosen, parent)
    child = method.network()
    with torch.no_grad():
        for weight in child.parameters():
            weight += 1.0
    mixed = method.bundle(child).network
    for new, old in zip(mixed.parameters(), parent.network.parameters(), strict=True):
        torch.testing.assert_close(new, old + (1 - kept))
    for trained, old in zip(child.parameters(), parent.network.parameters(), strict=True):
        torch.testing.assert_close(trained, old + 1)  # training goes on with its own


def test_the_share_has_the_classes_in_the_order_of_the_labels(typed, nothing, config):
    turned = ClassScheme(DEFAULT_CLASSES.classes[::-1])
    labels = typed_set(*[replace(i, nuclei=replace(i.nuclei, classes=turned)) for i in typed],
                       classes=turned)  # fmt: skip
    parent = untrained("window-cnn")
    method = FineTuneMethod(labels, nothing, replace(config, method="fine-tune"), parent)
    head = method.bundle(method.network()).network.head
    torch.testing.assert_close(head.weight, parent.network.head.weight.flip(0))


def test_a_head_that_starts_anew_keeps_the_features_it_learnt_to_read(typed, nothing, config):
    labels = typed_set(*[replace(i, nuclei=replace(i.nuclei, classes=OTHER)) for i in typed],
                       classes=OTHER)  # fmt: skip
    chosen = replace(config, method="fine-tune", parent_share=0.5)
    method = FineTuneMethod(labels, nothing, chosen, untrained("window-cnn"))
    child = method.network()
    with torch.no_grad():
        child.stem.weight += 1.0
    assert torch.equal(method.bundle(child).network.stem.weight, child.stem.weight)


@pytest.mark.parametrize(("way", "kept"), [("all", 0.5), ("discriminative", 0.5), ("head", 0.0)])
def test_the_card_names_the_share_that_was_kept(tune, way, kept):
    card = tune(untrained("window-cnn"), way, steps=1).card
    assert card.config["parent_share"] == kept
    assert card.config["batch_norm"] is False


def test_a_first_step_moves_each_layer_by_its_rate(tune):
    """Adam's first step is the rate itself, wherever the gradient is not nothing."""
    parent = untrained("patch-cnn")
    child = tune(
        parent, "discriminative", layer_decay=0.1, steps=1, warmup=0.0, ema=0.0, learning_rate=1e-2
    )
    before, after = state(parent), state(child)
    for depth, name in enumerate(["dense3", "dense2", "dense1", "conv2", "conv1"]):
        moved = (after[f"{name}.weight"] - before[f"{name}.weight"]).abs().max().item()
        assert moved == pytest.approx(1e-2 * 0.1**depth, rel=0.05)


def test_other_classes_keep_the_features_and_start_a_head(typed, nothing, config, caplog):
    labels = typed_set(*[replace(i, nuclei=replace(i.nuclei, classes=OTHER)) for i in typed],
                       classes=OTHER)  # fmt: skip
    parent = untrained("patch-cnn")
    method = FineTuneMethod(labels, nothing, replace(config, method="fine-tune"), parent)
    assert "the last layer starts anew" in caplog.text
    network = method.network()
    assert torch.equal(network.conv1.weight, parent.network.conv1.weight)
    assert not torch.equal(network.dense3.weight, parent.network.dense3.weight)
    assert method.parameter_groups(network)[0]["scale"] == FRESH_HEAD
    assert "tumour, stroma, immune" in describe(method.card())
    assert method.card().scheme.names == OTHER.names


def test_another_number_of_classes_changes_the_head(typed, nothing, config):
    pair = ClassScheme(DEFAULT_CLASSES.classes[:2])
    parent = untrained("context-cnn", classes=pair)
    method = FineTuneMethod(typed, nothing, replace(config, method="fine-tune"), parent)
    assert method.network().dense.weight.shape == (3, 640)
    assert method.card().arguments["classes"] == 3


def test_classes_in_another_order_are_put_in_order(typed, nothing, config):
    turned = ClassScheme(DEFAULT_CLASSES.classes[::-1])
    parent = untrained("patch-cnn", classes=turned)
    method = FineTuneMethod(typed, nothing, replace(config, method="fine-tune"), parent)
    network = method.network()
    assert torch.equal(network.dense3.weight, parent.network.dense3.weight.flip(0))
    assert torch.equal(network.dense3.bias, parent.network.dense3.bias.flip(0))


def test_the_parents_pixel_size_and_normalisation_are_kept(typed, nothing, config):
    parent = untrained("patch-cnn")
    spec = parent.card.input.model_copy(update={"mpp": 0.4, "mean": (0.5, 0.5, 0.5)})
    parent = replace(parent, card=parent.card.model_copy(update={"input": spec}))
    method = FineTuneMethod(typed, nothing, replace(config, method="fine-tune"), parent)
    assert method.card().input == spec
    assert method.config.mpp == 0.4
    grey = np.full((1, 27, 27, 3), 127.5, np.float32)
    assert (method._tensor(grey, torch.device("cpu")) == 0).all()


def test_another_network_than_the_parents_is_refused(typed, nothing, config):
    chosen = replace(config, method="fine-tune", architecture="context-cnn")
    with pytest.raises(TrainingError, match=r"is a patch-cnn, the settings ask for context-cnn"):
        FineTuneMethod(typed, nothing, chosen, untrained("patch-cnn"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fine_tune": "tail"}, "fine_tune must be one of all, head, discriminative, got 'tail'"),
        ({"layer_decay": 0.0}, "layer_decay must lie in"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(values)


def test_learning_to_find_again_is_refused(typed, nothing, config):
    chosen = replace(config, method="fine-tune", find_steps=1)
    with pytest.raises(TrainingError, match="the parent has learnt where nuclei are"):
        FineTuneMethod(typed, nothing, chosen, untrained("window-cnn"))
