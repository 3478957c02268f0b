from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_nucbudget.errors import ConfigError, OutputError, TrainingError
from napari_nucbudget.learn import fit as fit_module
from napari_nucbudget.learn.fit import _rate, fit, training_data
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import Provenance
from napari_nucbudget.types.training import TrainConfig
from tests.reports import collect


def kill(*arguments):
    raise KeyboardInterrupt


def weights(folder):
    return Detector.load(folder, device="cpu").network.state_dict()


def test_two_runs_with_one_seed_give_equal_weights(train_set, validation_set, quick, tmp_path):
    for name in ("a", "b"):
        collect(fit(train_set, validation_set, quick, out=tmp_path / name, device="cpu"))
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_another_seed_gives_other_weights(train_set, validation_set, quick, tmp_path):
    collect(fit(train_set, validation_set, quick, out=tmp_path / "a", device="cpu"))
    other = replace(quick, seed=1)
    collect(fit(train_set, validation_set, other, out=tmp_path / "b", device="cpu"))
    assert not torch.equal(
        weights(tmp_path / "a")["conv1.weight"], weights(tmp_path / "b")["conv1.weight"]
    )


def test_a_resumed_run_ends_as_an_uninterrupted_one(train_set, validation_set, quick, tmp_path):
    collect(fit(train_set, validation_set, quick, out=tmp_path / "whole", device="cpu"))
    steps = fit(train_set, validation_set, quick, out=tmp_path / "cut", device="cpu")
    next(steps)
    steps.close()
    resumed = fit(train_set, validation_set, quick, out=tmp_path / "cut", device="cpu", resume=True)
    reports, finished = collect(resumed)
    assert [r.step for r in reports] == [4]
    assert [r.step for r in finished.reports] == [2, 4]
    a, b = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_that_is_cut_leaves_a_usable_model(train_set, validation_set, quick, tmp_path):
    steps = fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu")
    report = next(steps)
    steps.close()
    assert report.is_best
    assert 0 < Detector.load(tmp_path / "m", device="cpu").card.threshold < 1


def test_the_loss_falls_and_the_discs_are_found(train_set, validation_set, tmp_path):
    config = TrainConfig(
        steps=60, steps_per_epoch=30, crop=64, precision="float32", learning_rate=4e-3, threads=1
    )
    reports, finished = collect(fit(train_set, validation_set, config, out=tmp_path / "m"))
    assert reports[-1].loss["total"] < 0.6 * reports[0].loss["total"]
    assert max(r.score for r in finished.reports) > 0.9


def test_the_card_says_what_the_weights_saw(train_set, validation_set, quick, tmp_path):
    collect(fit(train_set, validation_set, quick, out=tmp_path / "mine", device="cpu"))
    card = Detector.load(tmp_path / "mine", device="cpu").card
    assert card.name == "mine"
    (seen,) = card.training_data
    assert (seen.name, seen.split, seen.images, seen.nuclei) == ("drawn", "train", 2, 18)
    assert seen.licence == "CC0"
    assert len(seen.sha256) == 64
    (score,) = card.scores
    assert (score.split, score.radius_um, score.mpp) == ("validation", 3.3, 0.55)
    assert [point["step"] for point in card.curve] == [2, 4]
    assert card.config == quick.to_dict()


def test_the_trained_network_is_table_one_without_normalisation(
    train_set, validation_set, quick, tmp_path
):
    collect(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    detector = Detector.load(tmp_path / "m", device="cpu")
    assert sum(p.numel() for p in detector.network.parameters()) == 279_777
    assert not list(detector.network.buffers())


def test_an_image_on_both_sides_is_refused(train_set, quick, tmp_path):
    with pytest.raises(TrainingError, match="2 images are in training and in validation: t0, t1"):
        next(fit(train_set, train_set, quick, out=tmp_path / "m"))


def test_a_patient_on_both_sides_is_refused(train_set, validation_set, quick, tmp_path):
    def of_one(labels):
        return replace(labels, images=tuple(replace(i, patient="P7") for i in labels))

    with pytest.raises(TrainingError, match="1 patients have images in training and in validat"):
        next(fit(of_one(train_set), of_one(validation_set), quick, out=tmp_path / "m"))


def test_a_folder_with_a_run_is_not_overwritten(train_set, validation_set, quick, tmp_path):
    collect(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    before = (tmp_path / "m" / "weights.safetensors").read_bytes()
    with pytest.raises(OutputError, match="--resume"):
        next(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    assert (tmp_path / "m" / "weights.safetensors").read_bytes() == before


def test_resuming_with_other_settings_names_them(train_set, validation_set, quick, tmp_path):
    next(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    other = replace(quick, learning_rate=0.5)
    with pytest.raises(TrainingError, match="other settings: learning_rate"):
        next(fit(train_set, validation_set, other, out=tmp_path / "m", resume=True))


def test_resuming_with_other_settings_leaves_those_of_the_run(
    train_set, validation_set, quick, tmp_path
):
    out = tmp_path / "m"
    collect(fit(train_set, validation_set, quick, out=out, device="cpu"))
    before = (out / "config.json").read_text()
    other = replace(quick, steps=quick.steps + 2)
    with pytest.raises(TrainingError, match="other settings: steps"):
        next(fit(train_set, validation_set, other, out=out, device="cpu", resume=True))
    assert (out / "config.json").read_text() == before


def test_resuming_a_damaged_state_says_so(train_set, validation_set, quick, tmp_path):
    next(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    state = tmp_path / "m" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged and cannot be resumed"):
        next(fit(train_set, validation_set, quick, out=tmp_path / "m", resume=True))


def test_resuming_nothing_says_so(train_set, validation_set, quick, tmp_path):
    with pytest.raises(TrainingError, match="holds no run to resume"):
        next(fit(train_set, validation_set, quick, out=tmp_path / "m", resume=True))


def test_a_loss_that_is_no_number_at_once_is_an_error(train_set, validation_set, quick, tmp_path):
    wild = replace(quick, learning_rate=1e30, warmup=0.0, clip_norm=1e30, batch_norm=False)
    with pytest.raises(TrainingError, match=r"not a number before .* Lower learning_rate"):
        collect(fit(train_set, validation_set, wild, out=tmp_path / "m", device="cpu"))


def test_a_loss_that_becomes_no_number_keeps_the_best(
    train_set, validation_set, quick, tmp_path, monkeypatch
):
    from napari_nucbudget.learn.methods.detection import DetectionMethod

    genuine = DetectionMethod.loss
    calls = []

    def fails_later(self, network, batch, device):
        calls.append(1)
        terms = genuine(self, network, batch, device)
        return {"total": terms["total"] * float("nan")} if len(calls) > 2 else terms

    monkeypatch.setattr(DetectionMethod, "loss", fails_later)
    reports, finished = collect(fit(train_set, validation_set, quick, out=tmp_path / "m"))
    assert finished.stopped == "nan"
    assert len(reports) == 1
    assert Detector.load(tmp_path / "m", device="cpu").card.curve[-1]["step"] == 2


@pytest.fixture
def no_better(monkeypatch):
    """Validation scores that fall twice before they rise."""
    from napari_nucbudget.learn.methods.detection import DetectionMethod

    scores = iter([0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(
        DetectionMethod, "validate", lambda self, network: (next(scores), {"threshold": 0.3})
    )


@pytest.mark.usefixtures("no_better")
def test_training_stops_where_validation_no_longer_improves(
    train_set, validation_set, quick, tmp_path
):
    config = replace(quick, steps=8, patience=2)
    _, finished = collect(fit(train_set, validation_set, config, out=tmp_path / "m"))
    assert finished.stopped == "patience"
    assert [r.best_epoch for r in finished.reports] == [0, 0, 0]


def test_a_parent_gives_its_weights_and_its_name(train_set, validation_set, quick, tmp_path):
    collect(fit(train_set, validation_set, quick, out=tmp_path / "parent", device="cpu"))
    parent = Detector.load(tmp_path / "parent", device="cpu")
    still = replace(quick, steps=2, learning_rate=1e-12)
    collect(fit(train_set, validation_set, still, out=tmp_path / "child", parent=parent))
    child = Detector.load(tmp_path / "child", device="cpu")
    assert child.card.parent == "parent"
    torch.testing.assert_close(child.network.state_dict(), parent.network.state_dict())


def test_settings_stand_beside_the_weights(train_set, validation_set, quick, tmp_path):
    next(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    saved = json.loads((tmp_path / "m" / "config.json").read_text())
    assert TrainConfig.from_dict(saved) == quick


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rat": 1e-3}, "Did you mean 'learning_rate'"),
        ({"steps": "many"}, "steps must be of type int"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"crop": 8}, "crop must be at least 32"),
        ({"recipe": "magic"}, "recipe must be one of product, paper"),
        ({"ema": 1.0}, "ema must lie in"),
        ({"steps": 90, "find_steps": 90}, r"find_steps must be below steps, .* \(90\), got 90"),
        ({"find_steps": -1}, "find_steps must be at least 0"),
    ],
)
def test_a_wrong_setting_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(values)


@pytest.mark.usefixtures("no_better")
def test_a_run_that_had_ended_by_patience_is_not_trained_on(
    train_set, validation_set, quick, tmp_path
):
    config = replace(quick, steps=8, patience=2)
    collect(fit(train_set, validation_set, config, out=tmp_path / "m"))
    weights = (tmp_path / "m" / "weights.safetensors").read_bytes()
    reports, again = collect(
        fit(train_set, validation_set, config, out=tmp_path / "m", resume=True)
    )
    assert reports == []
    assert again.stopped == "patience"
    assert len(again.reports) == 3
    assert (tmp_path / "m" / "weights.safetensors").read_bytes() == weights


def test_a_run_goes_on_with_its_own_images_alone(train_set, validation_set, quick, tmp_path):
    next(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    with pytest.raises(TrainingError, match="other training and validation images"):
        next(fit(validation_set, train_set, quick, out=tmp_path / "m", resume=True))


def test_a_run_goes_on_with_its_own_fields_alone(train_set, validation_set, quick, tmp_path):
    next(fit(train_set, validation_set, quick, out=tmp_path / "m", device="cpu"))
    first, *others = train_set.images
    other = replace(first, fields=(Region(0, 0, 20, 20),))
    changed = replace(train_set, images=(other, *others))
    with pytest.raises(TrainingError, match="other training images or labels"):
        next(fit(changed, validation_set, quick, out=tmp_path / "m", resume=True))


def test_a_run_goes_on_with_its_own_parent_alone(train_set, validation_set, quick, tmp_path):
    collect(fit(train_set, validation_set, quick, out=tmp_path / "a", device="cpu"))
    collect(fit(train_set, validation_set, replace(quick, seed=9), out=tmp_path / "b"))
    one, other = (Detector.load(tmp_path / name, device="cpu") for name in "ab")
    next(fit(train_set, validation_set, quick, out=tmp_path / "m", parent=one))
    for parent in (other, None):
        with pytest.raises(TrainingError, match="began with another parent, or with none"):
            next(fit(train_set, validation_set, quick, out=tmp_path / "m", parent=parent,
                     resume=True))  # fmt: skip
    assert len(collect(fit(train_set, validation_set, quick, out=tmp_path / "m", parent=one,
                           resume=True))[1].reports) > 1  # fmt: skip


def test_each_set_keeps_its_licence_where_two_have_one_name(
    train_set, validation_set, quick, tmp_path
):
    free, secret = (
        replace(image, folder=folder, origin=Provenance("my labels", licence=licence))
        for image, folder, licence in zip(train_set, "ab", ("CC0", "secret"), strict=True)
    )
    for images in ((free, secret), (secret, free)):
        labels = replace(train_set, images=images)
        data = training_data(labels)
        assert [(d.images, d.licence) for d in data] == [(1, "CC0"), (1, "secret")]


@pytest.mark.parametrize("name", ["", " ", "human"])
def test_a_name_that_makes_people_of_proposals_is_refused(
    train_set, validation_set, quick, tmp_path, name
):
    with pytest.raises(ConfigError, match="cannot be the name of a model"):
        next(fit(train_set, validation_set, quick, out=tmp_path / "human", name=name or None))
    assert not list(tmp_path.iterdir())


def test_a_model_trained_into_this_folder_is_called_like_it(
    train_set, validation_set, quick, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    next(fit(train_set, validation_set, quick, out=Path(), device="cpu"))
    assert Detector.load(tmp_path, device="cpu").card.name == tmp_path.name


def test_a_finished_run_that_is_resumed_keeps_its_name(train_set, validation_set, quick, tmp_path):
    out = tmp_path / "m"
    nothing = replace(validation_set, images=())  # the last epoch is the best then
    collect(fit(train_set, nothing, quick, out=out, name="mine", device="cpu"))
    before = (out / "card.json").read_bytes()
    collect(fit(train_set, nothing, quick, out=out, device="cpu", resume=True))
    assert (out / "card.json").read_bytes() == before


def test_a_run_cut_off_before_its_weights_were_kept_goes_on(
    train_set, validation_set, quick, tmp_path, monkeypatch
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    collect(fit(train_set, validation_set, quick, out=whole, device="cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "_keep_best", kill)
        with pytest.raises(KeyboardInterrupt):
            next(fit(train_set, validation_set, quick, out=cut, device="cpu"))
    collect(fit(train_set, validation_set, quick, out=cut, device="cpu", resume=True))
    a, b = weights(whole), weights(cut)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_rates_rise_and_fall_in_either_part_of_a_run():
    alone = TrainConfig(steps=30, learning_rate=1.0)
    after = replace(alone, steps=50, find_steps=20)
    first = replace(alone, steps=20)
    expected = [_rate(s, first) for s in range(20)] + [_rate(s, alone) for s in range(30)]
    assert [_rate(s, after) for s in range(50)] == expected
    assert expected[0] < 0.5 < max(expected[:20])


def test_a_detector_has_no_steps_of_finding_first(train_set, validation_set, quick, tmp_path):
    with pytest.raises(TrainingError, match=r"find_steps is for window-cnn, .* is 'detection'"):
        collect(fit(train_set, validation_set, replace(quick, find_steps=1), out=tmp_path / "m"))
