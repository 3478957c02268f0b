"""``nucbudget train classifier``: what it takes, and what it says to bad input."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_nucbudget.io.label_sets import write_label_set
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.models.card_text import score_line
from napari_nucbudget.models.library import load_card, load_classifier
from napari_nucbudget.types.image import Region
from tests.typed_discs import typed_discs, typed_set


def relabelled(image, label):
    return replace(image, nuclei=replace(image.nuclei, label=np.asarray(label, np.int16)))


@pytest.fixture
def write(tmp_path):
    """Write images as the label set folder ``discs``."""

    def call(*images):
        return write_label_set(typed_set(*images), tmp_path / "discs")

    return call


@pytest.fixture
def data(write):
    """Two training images and one each to validate and to test, of nine typed discs."""
    splits = ("train", "train", "validation", "test")
    return write(*(typed_discs(f"{s}{i}", s, seed=i) for i, s in enumerate(splits)))


@pytest.fixture
def train(run, tmp_path):
    """Run the command with few steps: exit code, summary or None, stderr."""

    def call(data, *options, **settings):
        settings = {"steps": 2, "steps_per_epoch": 1, "batch_size": 6, **settings}
        config = tmp_path / "few.json"
        config.write_text(json.dumps(settings))
        out = tmp_path / "model"
        code, stdout, stderr = run(
            "train", "classifier", "--data", data, "--config", config, "--out", out, "--json",
            *options,
        )  # fmt: skip
        return code, json.loads(stdout) if stdout else None, stderr

    return call


def test_validation_images_report_and_calibrate(train, data, tmp_path):
    code, summary, stderr = train(data, "--method", "supervised")
    assert code == 0, stderr
    assert set(summary["validation"]) == {"f1", "macro_f1"}
    assert summary["best_epoch"] == 1  # the last, however it scores
    card = load_card(tmp_path / "model")
    assert card.config["validation"] == "none"
    assert card.temperature is not None


def test_the_papers_rule_is_an_option(train, data, tmp_path):
    assert train(data, "--method", "supervised", "--validation", "paper")[0] == 0
    assert load_card(tmp_path / "model").config["validation"] == "paper"


def test_an_unknown_rule_lists_the_rules(train, data):
    code, _, stderr = train(data, "--validation", "best")
    assert code == 2
    assert "validation must be one of none, paper, got 'best'." in stderr


def test_validation_images_without_labels_leave_the_model_uncalibrated(train, write, tmp_path):
    data = write(typed_discs("a"), relabelled(typed_discs("b", "validation", 1), [-1] * 9))
    code, summary, stderr = train(data, "--method", "supervised")
    assert code == 0, stderr
    assert summary["validation"] == {}
    assert load_card(tmp_path / "model").temperature is None
    assert load_card(tmp_path / "model").scores == []


def test_the_papers_rule_needs_validation_labels(train, write):
    data = write(typed_discs("a"), relabelled(typed_discs("b", "validation", 1), [-1] * 9))
    code, _, stderr = train(data, "--method", "supervised", "--validation", "paper")
    assert code == 2
    assert stderr == (
        "nucbudget: validation = 'paper' chooses the weights by labels of the split 'validation', "
        "and there are none. Mark labelled images as such in images.csv, or take 'none'.\n"
    )


def test_nuclei_of_more_images_are_learnt_from(train, data, write, model, tmp_path):
    other = typed_discs("other", seed=7)
    picture = tmp_path / "other.png"
    Image.fromarray(other.source.read(Region.whole(other.source.shape))).save(picture)
    code, _, stderr = train(
        data, "--unlabelled", picture, "--unlabelled-mpp", "0.55", "--detector", model
    )
    assert code == 0, stderr
    found = load_card(tmp_path / "model").training_data
    (entry,) = [e for e in found if e.name == "unlabelled"]
    assert (entry.images, entry.nuclei) == (1, 9)
    assert "9 nuclei are learnt from without a label" in stderr


def test_detected_nuclei_can_stand_for_the_dots_without_a_label(train, data, model):
    """Nine discs an image are found; those three that have a label are not counted twice."""
    code, _, stderr = train(
        data, "--labels", "6", "--unlabelled-from", "detected", "--detector", model
    )
    assert code == 0, stderr
    assert "12 nuclei are learnt from without a label" in stderr


def test_a_test_image_among_the_unlabelled_is_refused_by_name(train, data, model, tmp_path):
    copy = tmp_path / "mine.png"
    copy.write_bytes((data / "images" / "test3.png").read_bytes())
    code, _, stderr = train(
        data, "--unlabelled", copy, "--unlabelled-mpp", "0.55", "--detector", model
    )
    assert code == 2
    assert "same pixels: mine.png = test3. Take them out" in stderr
    assert not (tmp_path / "model").exists()


def test_an_unlabelled_image_without_pixel_size_is_refused_with_advice(train, data, image):
    code, _, stderr = train(data, "--unlabelled", image)
    assert code == 2
    assert "discs.png does not say how large its pixels are" in stderr
    assert "--unlabelled-mpp 0.5" in stderr


def test_fine_tuning_takes_nothing_without_labels(train, data, image):
    code, _, stderr = train(data, "--method", "fine-tune", "--unlabelled", image)
    assert code == 2
    assert "The method 'fine-tune' learns from labels alone" in stderr


def test_a_wrong_source_of_unlabelled_nuclei_lists_the_right_ones(train, data):
    code, _, stderr = train(data, "--unlabelled-from", "thin air")
    assert code == 2
    assert "--unlabelled-from must be dots or detected, got 'thin air'." in stderr


def test_an_unknown_method_is_answered_with_near_misses(train, data):
    code, _, stderr = train(data, "--method", "gama-ladder")
    assert code == 2
    assert "gamma-ladder" in stderr


@pytest.mark.parametrize("labels", ["few", "0", "-5", "0%", "-1%", "150%", "nan%", "inf%", "2.5"])
def test_a_budget_that_makes_no_sense_is_refused(train, data, labels):
    code, _, stderr = train(data, "--labels", labels)
    assert code == 2
    assert stderr == (
        f"nucbudget: A budget is a number such as 40, or a percentage, got {labels!r}.\n"
    )


def test_more_labels_than_there_are_is_refused_with_their_number(train, data):
    code, _, stderr = train(data, "--labels", "19")
    assert code == 2
    assert stderr == (
        "nucbudget: A budget of 19 labels was asked for, but 18 nuclei are labelled.\n"
    )


def test_a_detector_cannot_be_the_parent(train, data, model):
    code, _, stderr = train(data, "--method", "fine-tune", "--parent", model)
    assert code == 2
    assert stderr == "nucbudget: darkness is for detection; a classifier is needed here.\n"


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ([-1] * 9, "No nucleus has a class; label a few of each class first."),
        (
            [0] + [-1] * 8,
            "No labelled nucleus of class 'inflammatory' among 1; label at least one, or leave the "
            "class out of the scheme.",
        ),
        (
            [0, 1] * 4 + [0],
            "No labelled nucleus of class 'miscellaneous' among 9; label at least one, or leave "
            "the class out of the scheme.",
        ),
        (
            [0, 1, 2] + [-1] * 6,
            "3 labels for 3 classes are too few; 6 are the least, 40 a good start.",
        ),
    ],
    ids=["none at all", "one in all", "none of a class", "one of each"],
)
def test_too_few_labels_are_refused_in_words(train, write, label, words, tmp_path):
    code, _, stderr = train(write(relabelled(typed_discs("a"), label)), "--method", "supervised")
    assert code == 2
    assert stderr == f"nucbudget: {words}\n"
    assert not (tmp_path / "model").exists()


def test_a_class_that_the_scheme_lacks_is_named(train, data):
    points = data / "points.csv"
    points.write_text(points.read_text().replace("inflammatory", "lymphocyte"))
    code, _, stderr = train(data)
    assert code == 2
    assert "points.csv, image train0: There is no class named 'lymphocyte'." in stderr
    assert "epithelial" in stderr


def test_labels_in_one_image_alone_are_enough(train, write, tmp_path):
    """Nothing is held out, so that no second image is needed."""
    code, summary, stderr = train(write(typed_discs("a")), "--method", "supervised")
    assert code == 0, stderr
    assert summary["stopped"] == "steps"


def test_nuclei_at_the_very_border_are_learnt_from(train, write, tmp_path):
    """Their patches are filled by mirroring the image at its edge."""
    image = typed_discs("a")
    yx = np.array([[0, 0], [-0.5, 36], [71.4, 71.4], [36, 71], [12, 12], [60, 12]], np.float32)
    corner = replace(image, nuclei=image.nuclei.select(np.arange(6)))
    corner = replace(corner, nuclei=replace(corner.nuclei, yx=yx))
    code, summary, stderr = train(write(corner), "--method", "supervised")
    assert code == 0, stderr
    assert summary["stopped"] == "steps"


def test_a_dot_outside_its_image_is_refused(train, data):
    points = data / "points.csv"
    lines = points.read_text().splitlines()
    lines[1] = lines[1].replace("12.0,12.0", "72.0,12.0")
    points.write_text("\n".join(lines))
    code, _, stderr = train(data)
    assert code == 2
    assert stderr.endswith(
        "points.csv: 1 dots lie outside the image train0 of 72 x 72 px, the first at x=72, y=12.\n"
    )


def test_two_classes_at_one_place_count_as_none_and_are_named(train, data, caplog):
    points = data / "points.csv"
    first = points.read_text().splitlines()[1]
    points.write_text(points.read_text() + first.replace("epithelial", "miscellaneous") + "\n")
    code, _, stderr = train(data, "--labels", "18")
    assert code == 2
    assert "within 0.5 µm and count as without class: train0 at x=12, y=12." in caplog.text
    assert "18 labels was asked for, but 17 nuclei are labelled" in stderr


def briefly(run, data, tmp_path, *, steps):
    """Train for so many steps, each an epoch, and give what was printed in words."""
    config = tmp_path / "few.toml"
    config.write_text(f"steps = {steps}\nsteps_per_epoch = 1\n")
    return run(
        "train", "classifier", "--data", data, "--method", "supervised", "--config", config,
        "--out", tmp_path / "model",
    )  # fmt: skip


def test_the_score_that_is_printed_is_that_of_the_card(run, data, tmp_path):
    """Each epoch looks at a nucleus once; in the end views are averaged, as in use."""
    code, stdout, _ = briefly(run, data, tmp_path, steps=2)
    assert code == 0
    (record,) = load_card(tmp_path / "model").scores
    assert stdout == (f"{tmp_path / 'model'}: weights of step 2 (steps)\n  {score_line(record)}\n")


@pytest.fixture
def breaks_at(monkeypatch):
    """Make the loss NaN in one step."""
    loss = SupervisedMethod.loss
    calls = []

    def at(step):
        def broken(self, network, batch, device):
            terms = loss(self, network, batch, device)
            calls.append(batch)
            factor = float("nan") if len(calls) == step + 1 else 1.0
            return {key: value * factor for key, value in terms.items()}

        monkeypatch.setattr(SupervisedMethod, "loss", broken)

    return at


def test_a_loss_that_is_no_number_keeps_the_weights_before_it(
    train, data, breaks_at, tmp_path, caplog
):
    breaks_at(3)
    code, summary, _ = train(data, "--method", "supervised", steps=6, steps_per_epoch=2)
    assert code == 0
    assert (summary["stopped"], summary["epochs"]) == ("nan", 1)
    assert "The loss at step 3 is nan; training stops." in caplog.text
    classifier = load_classifier(tmp_path / "model", device="cpu")
    assert all(p.isfinite().all() for p in classifier.network.parameters())
    assert classifier.card.temperature is not None


def test_it_is_said_in_words(run, data, breaks_at, tmp_path):
    breaks_at(1)
    code, stdout, _ = briefly(run, data, tmp_path, steps=3)
    assert code == 0
    assert "the loss was no longer a number; the best weights were kept" in stdout


def test_a_loss_that_is_no_number_at_once_leaves_no_model(train, data, breaks_at, tmp_path):
    breaks_at(0)
    code, _, stderr = train(data, "--method", "supervised")
    assert code == 2
    assert "Lower learning_rate (now 0.001)." in stderr
    assert not (tmp_path / "model" / "card.json").exists()


def test_weights_that_overflow_are_not_kept(train, data, tmp_path, caplog):
    code, _, stderr = train(data, "--method", "supervised", steps=9, learning_rate=1e30)
    assert code == 2
    assert "Lower learning_rate (now 1e+30)." in stderr
    assert "The output of the network at step 0 is nan" in caplog.text
    assert not (tmp_path / "model" / "card.json").exists()


@pytest.mark.parametrize("method", ["supervised", "gamma-ladder", "descriptors"])
def test_one_class_alone_is_refused(train, write, method):
    folder = write(relabelled(typed_discs("a"), [0] * 9))
    facts = json.loads((folder / "dataset.json").read_text())
    facts["classes"] = facts["classes"][:1]
    (folder / "dataset.json").write_text(json.dumps(facts))
    code, _, stderr = train(folder, "--method", method)
    assert code == 2
    assert "There is one class, 'epithelial'; a classifier tells at least two apart" in stderr


def test_a_pixel_size_of_unlabelled_images_needs_some(train, data, tmp_path):
    code, _, stderr = train(data, "--unlabelled-mpp", "0.5")
    assert code == 2
    assert "--unlabelled-mpp is the pixel size of --unlabelled images; give those too" in stderr
    assert not (tmp_path / "model").exists()
