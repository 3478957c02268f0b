from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.core.sampling import label_budget
from napari_nucbudget.core.stain import to_optical_density, to_rgb
from napari_nucbudget.errors import TrainingError
from napari_nucbudget.infer.classify import evaluate_classifier, iter_classify
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.learn.methods.gamma_ladder import GammaLadderMethod
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.learn.patch_data import stain_reference
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of
from napari_nucbudget.types.training import TrainConfig

COLOURS = ((90, 50, 130), (20, 10, 60), (190, 60, 120))


def typed_image(name, split, seed, side=120):
    """Discs whose colour is their class."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(15, side - 10, 22)] * 2, indexing="ij"), -1)
    dots = grid.reshape(-1, 2) + rng.integers(-3, 4, (grid[..., 0].size, 2))
    label = np.arange(len(dots)) % 3
    rgb = np.full((side, side, 3), (230, 180, 215), np.float64)
    rows, columns = np.indices((side, side))
    for (y, x), k in zip(dots, label, strict=True):
        rgb[(rows - y) ** 2 + (columns - x) ** 2 <= 36] = COLOURS[k]
    rgb = np.clip(rgb + rng.normal(0, 8, rgb.shape), 0, 255).astype(np.uint8)
    return AnnotatedImage(
        ArraySource(rgb, mpp=0.55, name=name),
        Nuclei.from_points(dots, label=label),
        (Region(0, 0, side, side),),
        split=split,
        dataset="typed",
    )


@pytest.fixture(scope="module")
def typed():
    return LabelSet(tuple(typed_image(f"t{i}", "train", i) for i in range(2)), DEFAULT_CLASSES)


@pytest.fixture(scope="module")
def nothing():
    return LabelSet((), DEFAULT_CLASSES)


@pytest.fixture
def config():
    return TrainConfig(
        method="supervised",
        steps=30,
        steps_per_epoch=15,
        batch_size=12,
        unlabelled_batch=12,
        learning_rate=2e-3,
        precision="float32",
        ema=0.5,
        stain_jitter=0.05,
    )


def test_a_ladder_without_noise_and_cost_is_the_supervised_network(typed, nothing, config):
    bare = replace(config, noise=0.0, denoising_weight=0.0)
    networks = []
    for method_class in (SupervisedMethod, GammaLadderMethod):
        method = method_class(typed, nothing, bare)
        network = method.network().train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0)
        for step in range(4):
            optimiser.zero_grad()
            batch = method.batch(np.random.default_rng([0, step]))
            method.loss(network, batch, torch.device("cpu"))["total"].backward()
            optimiser.step()
        networks.append(network.state_dict())
    assert all(torch.equal(networks[0][k], networks[1][k]) for k in networks[0])


def test_unlabelled_rows_never_touch_the_supervised_term(typed, nothing, config):
    method = GammaLadderMethod(typed, nothing, config)
    network = method.network().train()
    pixels, label, seed, unlabelled = method.batch(np.random.default_rng(0))
    quiet = replace(config, noise=0.0)
    method.config = quiet
    terms = [
        method.loss(network, (pixels, label, seed, u), torch.device("cpu"))["supervised"].item()
        for u in (unlabelled, unlabelled[::-1] * 0.1, 255 - unlabelled)
    ]
    assert terms[0] == pytest.approx(terms[1], rel=1e-5)
    assert terms[0] == pytest.approx(terms[2], rel=1e-5)


@pytest.mark.parametrize("method", ["supervised", "gamma-ladder"])
def test_discs_of_three_colours_are_told_apart(typed, nothing, config, tmp_path, method):
    few = label_budget(typed, 12, seed=0)
    result_of(fit(few, nothing, replace(config, method=method), out=tmp_path / "m", device="cpu"))
    model = Classifier.load(tmp_path / "m", device="cpu")
    unseen = LabelSet((typed_image("x", "test", 77),), DEFAULT_CLASSES)
    assert result_of(evaluate_classifier(unseen, model)).weighted_f1 > 0.9


def test_a_parent_is_trained_further(typed, nothing, config, tmp_path):
    result_of(fit(typed, nothing, config, out=tmp_path / "parent", device="cpu"))
    parent = Classifier.load(tmp_path / "parent", device="cpu")
    still = replace(config, method="fine-tune", steps=2, learning_rate=1e-12)
    result_of(fit(typed, nothing, still, out=tmp_path / "child", parent=parent, device="cpu"))
    child = Classifier.load(tmp_path / "child", device="cpu")
    assert child.card.parent == "parent"
    torch.testing.assert_close(child.network.state_dict(), parent.network.state_dict())


def held_out(seed=5):
    return LabelSet((typed_image("v", "validation", seed),), DEFAULT_CLASSES)


def test_validation_labels_calibrate_and_score(typed, config, tmp_path):
    result_of(fit(typed, held_out(), config, out=tmp_path / "m", device="cpu"))
    card = Classifier.load(tmp_path / "m", device="cpu").card
    assert card.temperature > 0
    (record,) = card.scores
    assert (record.data, record.split) == ("typed", "validation")
    assert record.metrics["weighted_f1"] > 0.8
    assert record.weighted_f1_ci is not None


def test_without_validation_labels_the_temperature_stays_unset(typed, nothing, config, tmp_path):
    result_of(fit(typed, nothing, config, out=tmp_path / "m", device="cpu"))
    card = Classifier.load(tmp_path / "m", device="cpu").card
    assert card.temperature is None
    assert card.scores == []


def test_validation_labels_choose_nothing_unless_asked_to(typed, nothing, config, tmp_path):
    """Last weights with and without them: the same network, to the bit."""
    result_of(fit(typed, nothing, config, out=tmp_path / "without", device="cpu"))
    run = result_of(fit(typed, held_out(), config, out=tmp_path / "with", device="cpu"))
    assert [r.best_epoch for r in run.reports] == [0, 1]
    assert all(0 <= r.validation["f1"] <= 1 for r in run.reports)
    both = [Classifier.load(tmp_path / name, device="cpu") for name in ("without", "with")]
    first, second = (model.network.state_dict() for model in both)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_the_papers_rule_keeps_the_weights_that_score_best(typed, config, tmp_path, monkeypatch):
    given = iter([0.3, 0.9, 0.5])
    scores = SupervisedMethod._scores

    def as_given(self, prob):
        return replace(scores(self, prob), weighted_f1=next(given, 0.9))

    monkeypatch.setattr(SupervisedMethod, "_scores", as_given)
    paper = replace(config, validation="paper", steps=6, steps_per_epoch=2)
    steps = fit(typed, held_out(), paper, out=tmp_path / "m", device="cpu")
    weights = []
    for report in steps:
        assert report.is_best == (report.epoch < 2)
        weights.append((tmp_path / "m" / "weights.safetensors").read_bytes())
    assert weights[0] != weights[1] == weights[2]
    assert (tmp_path / "m" / "weights.safetensors").read_bytes() == weights[1]


def test_the_papers_rule_without_validation_labels_is_refused(typed, nothing, config):
    with pytest.raises(
        TrainingError,
        match="^validation = 'paper' chooses the weights by labels of the split 'validation', and "
        r"there are none\. Mark labelled images as such in images\.csv, or take 'none'\.$",
    ):
        SupervisedMethod(typed, nothing, replace(config, validation="paper"))


def test_typing_keeps_places_ids_and_scores(typed, nothing, config, tmp_path):
    result_of(fit(typed, nothing, config, out=tmp_path / "m", device="cpu"))
    model = Classifier.load(tmp_path / "m", device="cpu")
    image = typed.images[0]
    before = Nuclei.from_points(image.nuclei.yx, score=0.4, origin="x", id=100 + np.arange(25))
    after = result_of(iter_classify(image.source, before, model))
    np.testing.assert_array_equal(after.yx, before.yx)
    np.testing.assert_array_equal(after.id, before.id)
    np.testing.assert_allclose(after.prob.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(after.label, after.prob.argmax(axis=1))


def test_no_label_of_a_class_is_refused(typed, nothing, config):
    def without(image):
        label = np.where(image.nuclei.label == 2, -1, image.nuclei.label)
        return replace(image, nuclei=replace(image.nuclei, label=label))

    labels = replace(typed, images=tuple(without(i) for i in typed))
    with pytest.raises(TrainingError, match="No labelled nucleus of class 'miscellaneous'"):
        SupervisedMethod(labels, nothing, config)


def test_too_few_labels_are_refused_with_numbers(typed, nothing, config):
    with pytest.raises(TrainingError, match="4 labels for 3 classes are too few; 6"):
        SupervisedMethod(label_budget(typed, 4), nothing, config)


def test_fine_tuning_without_a_parent_is_refused(typed, nothing, config, tmp_path):
    with pytest.raises(TrainingError, match="needs a parent"):
        next(fit(typed, nothing, replace(config, method="fine-tune"), out=tmp_path / "m"))


def stained(image: AnnotatedImage, strength: float) -> AnnotatedImage:
    rgb = image.source.read(Region.whole(image.source.shape))
    other = np.round(to_rgb(to_optical_density(rgb) * np.float32(strength))).astype(np.uint8)
    return replace(image, source=ArraySource(other, mpp=0.55, name=image.source.name))


def test_aligned_training_sees_images_of_different_stain_alike(typed, nothing, config):
    strong = replace(typed, images=(typed.images[0], stained(typed.images[1], 1.5)))
    aligned = replace(config, align_stain=True)
    means = []
    for labels, settings in ((typed, config), (strong, config), (strong, aligned)):
        method = SupervisedMethod(labels, nothing, settings)
        second = method._pool[len(labels.images[0].nuclei) :].mean()
        means.append(float(second - method._pool[: len(labels.images[0].nuclei)].mean()))
    assert abs(means[1]) > 10 * abs(means[0])
    assert abs(means[2]) < 0.75 * abs(means[1])  # small images: their own stain counts half


def test_the_reference_goes_into_the_card_and_on_to_what_is_fine_tuned(
    typed, nothing, config, tmp_path
):
    aligned = replace(config, align_stain=True)
    parent = train(typed, nothing, aligned, tmp_path / "parent")
    stain = parent.card.input.stain
    assert stain == stain_reference(typed, mpp=0.55)
    tuned = replace(config, method="fine-tune")
    result_of(fit(typed, nothing, tuned, out=tmp_path / "b", parent=parent, device="cpu"))
    assert Classifier.load(tmp_path / "b", device="cpu").card.input.stain == stain
    plain = train(typed, nothing, config, tmp_path / "plain")
    assert plain.card.input.stain is None


def train(labels, validation, config, out) -> Classifier:
    result_of(fit(labels, validation, config, out=out, device="cpu"))
    return Classifier.load(out, device="cpu")


def test_images_of_glass_give_no_reference(typed, nothing, config):
    glass = np.full((120, 120, 3), 245, np.uint8)
    images = tuple(
        replace(image, source=ArraySource(glass, mpp=0.55, name=image.source.name))
        for image in typed.images
    )
    with pytest.raises(TrainingError, match="None of the 2 images holds stained tissue"):
        SupervisedMethod(replace(typed, images=images), nothing, replace(config, align_stain=True))
