"""What every training method promises: its models load, its runs repeat, resume and stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_nucbudget.infer.classify import iter_classify
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.learn.methods import METHODS
from napari_nucbudget.learn.transfer import FINE_TUNE_CLASSIFIER
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.nets import CLASSIFIERS
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.progress import result_of
from napari_nucbudget.types.training import TrainConfig
from tests.typed_discs import typed_discs, typed_set, untrained

SMALL = TrainConfig(
    steps=2,
    steps_per_epoch=1,
    batch_size=6,
    unlabelled_batch=6,
    crop=48,
    learning_rate=1e-3,
    ema=0.5,
    precision="float32",
    threads=1,
)
CONTEXT = {"architecture": "context-cnn"}
WINDOW = {"architecture": "window-cnn"}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "supervised": [{}, CONTEXT, WINDOW, {**WINDOW, "find_steps": 1, "balance": True}],
    "fixmatch": [{}, CONTEXT],
    "fine-tune": [
        *({"fine_tune": way} for way in FINE_TUNE_CLASSIFIER),
        CONTEXT,
        *({"fine_tune": way, **WINDOW} for way in FINE_TUNE_CLASSIFIER),
    ],
}
"""Settings to go through, where the defaults alone are not enough."""
CASES = [
    pytest.param(name, settings, id="-".join([name, *map(str, settings.values())]))
    for name in METHODS
    for settings in VARIANTS.get(name, [{}])
]
every_method = pytest.mark.parametrize(("name", "settings"), CASES)


@pytest.fixture(scope="module")
def train():
    return typed_set(typed_discs("a", seed=1), typed_discs("b", seed=2))


@pytest.fixture(scope="module")
def held():
    return typed_set(typed_discs("v", "validation", seed=9))


def steps_of(name, settings, train, held, out, *, resume=False):
    method_class = METHODS[name]
    network = settings.get("architecture", "patch-cnn")
    parent = untrained(network) if method_class.needs_parent else None
    validation = held if method_class.task == "detection" else typed_set()
    config = replace(SMALL, method=name, **settings)
    return fit(train, validation, config, out=out, parent=parent, device="cpu", resume=resume)


def answers(name, folder, image):
    """What a saved model says about an image's pixels."""
    rgb = image.source.read(Region.whole(image.source.shape))
    if METHODS[name].task == "detection":
        return Detector.load(folder, device="cpu").proximity(rgb.astype(np.float32))
    model = Classifier.load(folder, device="cpu")
    if model.takes_windows:
        prob = result_of(iter_classify(image.source, image.nuclei, model)).prob
        assert prob is not None
        return prob
    side = model.patch + 4
    return model.probabilities(np.stack([rgb[:side, :side], rgb[-side:, -side:]]))


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


@every_method
def test_runs_repeat_resume_load_and_predict(name, settings, train, held, tmp_path):
    """One test for four laws, since training is what takes the time."""
    whole, again, cut = tmp_path / "whole" / "m", tmp_path / "again" / "m", tmp_path / "cut" / "m"
    run = result_of(steps_of(name, settings, train, held, whole))
    assert run.stopped == "steps"
    assert [r.step for r in run.reports] == [1, 2]
    assert all(np.isfinite(list(r.loss.values())).all() for r in run.reports)

    torch.manual_seed(11)  # nothing may hang on what was drawn before
    result_of(steps_of(name, settings, train, held, again))
    assert weights(again) == weights(whole)

    interrupted = steps_of(name, settings, train, held, cut)
    next(interrupted)
    interrupted.close()
    torch.manual_seed(12)
    result_of(steps_of(name, settings, train, held, cut, resume=True))
    assert weights(cut) == weights(whole)

    image = held.images[0]
    first = answers(name, whole, image)
    assert np.isfinite(first).all()
    model_class = Detector if METHODS[name].task == "detection" else Classifier
    model_class.load(whole, device="cpu").save(tmp_path / "copy")
    np.testing.assert_array_equal(answers(name, tmp_path / "copy", image), first)


@pytest.mark.parametrize(
    ("name", "settings"), [c for c in CASES if "architecture" not in c.values[1]]
)
@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_what_is_no_number_stops_training_and_the_best_is_kept(
    name, settings, broken, train, held, tmp_path, monkeypatch
):
    method_class = METHODS[name]
    genuine = method_class.loss
    calls = []

    def fails_later(self, network, batch, device):
        calls.append(1)
        terms = genuine(self, network, batch, device)
        if len(calls) == 1:
            return terms
        total = terms["total"]
        if broken == "loss":
            return {**terms, "total": total * float("nan")}
        # finite itself, with an infinite slope
        return {**terms, "total": total.detach() + torch.sqrt(total - total.detach())}

    monkeypatch.setattr(method_class, "loss", fails_later)
    run = result_of(steps_of(name, settings, train, held, tmp_path / "m"))
    assert run.stopped == "nan"
    assert [r.step for r in run.reports] == [1]
    assert np.isfinite(answers(name, tmp_path / "m", held.images[0])).all()


@pytest.mark.parametrize("architecture", list(CLASSIFIERS))
def test_a_classifier_network_lists_each_weight_once_the_head_first(architecture):
    network = CLASSIFIERS[architecture]()
    stages = network.stages()
    listed = [id(p) for stage in stages for p in stage]
    assert sorted(listed) == sorted(id(p) for p in network.parameters())
    assert {id(p) for p in stages[0]} == {id(p) for p in network.head.parameters()}


@pytest.mark.parametrize("architecture", list(CLASSIFIERS))
def test_features_and_head_make_the_network(architecture):
    network = CLASSIFIERS[architecture]().eval()
    side = network.patch
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    if getattr(network, "takes_windows", False):
        places = torch.tensor([0, 1, 1]), torch.tensor([[9.0, 40.5], [300.0, 12.0], [70.0, 69.0]])
        features = network.features(network.packed(x), (side, side), *places)
        assert torch.equal(network.head(features), network(x, *places))
        return
    assert torch.equal(network.head(network.features(x)), network(x))
