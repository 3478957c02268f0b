from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_nucbudget.io.formats.csv import read_points_csv, write_points_csv
from napari_nucbudget.io.label_sets import write_label_set
from napari_nucbudget.models.library import load_card
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei
from tests.cli.conftest import as_tiff

COLOURS = ((70, 40, 120), (10, 0, 30), (150, 20, 60))
DOTS = np.stack(np.meshgrid([20, 50, 80], [20, 50, 80], indexing="ij"), -1).reshape(-1, 2)
LABEL = np.arange(9) % 3


def typed_discs():
    rgb = np.full((110, 110, 3), 235, np.uint8)
    rows, columns = np.indices((110, 110))
    for (y, x), k in zip(DOTS, LABEL, strict=True):
        rgb[(rows - y) ** 2 + (columns - x) ** 2 <= 36] = COLOURS[k]
    return rgb


@pytest.fixture
def data(tmp_path):
    images = tuple(
        AnnotatedImage(
            ArraySource(typed_discs(), mpp=0.55, name=split),
            Nuclei.from_points(DOTS, label=LABEL),
            (Region(0, 0, 110, 110),),
            split=split,
        )
        for split in ("train", "test")
    )
    labels = LabelSet(images, DEFAULT_CLASSES, (Provenance("typed"),))
    return str(write_label_set(labels, tmp_path / "typed"))


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "typed.png"
    Image.fromarray(typed_discs()).save(path)
    return str(path)


@pytest.fixture
def classifier(run, data, tmp_path):
    settings = tmp_path / "c.toml"
    settings.write_text("steps = 40\nbatch_size = 9\nema = 0.5\nlearning_rate = 2e-3\n")
    out = tmp_path / "typer"
    code, stdout, stderr = run(
        "train", "classifier", "--data", data, "--method", "supervised", "--labels", "9",
        "--config", settings, "--out", out, "--json",
    )  # fmt: skip
    assert code == 0, stderr
    assert json.loads(stdout)["stopped"] == "steps"
    return str(out)


def test_a_table_of_points_gets_classes(run, classifier, picture, tmp_path):
    table = write_points_csv(
        tmp_path / "p.csv", Nuclei.from_points(DOTS), mpp=0.55, image="typed.png"
    )
    out = tmp_path / "typed.csv"
    code, stdout, _ = run("classify", picture, table, "--model", classifier, "--out", out, "--json")
    assert code == 0
    assert json.loads(stdout)["counts"] == dict.fromkeys(DEFAULT_CLASSES.names, 3)
    np.testing.assert_array_equal(read_points_csv(out).nuclei.label, LABEL)


def test_detecting_and_typing_go_in_one_command(run, model, classifier, picture):
    code, stdout, _ = run(
        "detect", picture, "--model", model, "--mpp", "0.55", "--classify", classifier, "--json"
    )
    assert code == 0
    (one,) = json.loads(stdout)["images"]
    assert sum(one["counts"].values()) == one["nuclei"] == 9


def test_a_classifier_is_scored_at_annotated_places(run, classifier, data):
    code, stdout, _ = run("evaluate", classifier, "--data", data, "--json")
    assert code == 0
    scores = json.loads(stdout)
    assert list(scores) == [
        "task", "images", "nuclei", "accuracy", "macro_f1", "weighted_f1", "weighted_f1_ci",
        "class_f1", "confusion", "ece", "seconds", "mpp", "model", "data", "split",
    ]  # fmt: skip
    assert (scores["task"], scores["mpp"], scores["model"]) == ("classification", 0.55, "typer")
    assert (scores["data"], scores["split"]) == ("typed", "test")
    assert (scores["images"], scores["nuclei"], scores["weighted_f1"]) == (1, 9, 1.0)


def test_a_classifiers_scores_go_into_its_card_and_are_shown(run, classifier, data):
    for _ in range(2):
        code, stdout, _ = run("evaluate", classifier, "--data", data, "--record")
        assert code == 0
    assert "no interval: all nuclei are in one image" in stdout
    (record,) = load_card(classifier).scores
    assert (record.data, record.split, record.nuclei) == ("typed", "test", 9)
    assert set(record.metrics) == {"accuracy", "macro_f1", "weighted_f1", "ece"}
    assert record.class_f1 == dict.fromkeys(DEFAULT_CLASSES.names, 1.0)
    _, stdout, _ = run("models", "show", classifier)
    assert "typed test: weighted F1 1.000 (no interval: all nuclei are in one image), " in stdout
    assert "epithelial 1.000, inflammatory 1.000, miscellaneous 1.000" in stdout


def test_a_classifier_has_no_threshold(run, classifier, data):
    code, _, stderr = run("evaluate", classifier, "--data", data, "--threshold", "0.5")
    assert code == 2
    assert "--threshold is for detectors" in stderr


def test_points_outside_the_image_are_refused(run, classifier, picture, tmp_path):
    table = write_points_csv(
        tmp_path / "p.csv", Nuclei.from_points([[500, 3]]), mpp=0.55, image="other.png"
    )
    code, _, stderr = run(
        "classify", picture, table, "--model", classifier, "--out", tmp_path / "o"
    )
    assert code == 2
    assert "1 of 1 nuclei lie outside" in stderr


def test_a_detector_is_not_taken_for_a_classifier(run, model, picture):
    code, _, stderr = run("detect", picture, "--model", model, "--mpp", "0.55", "--classify", model)
    assert code == 2
    assert "a classifier is needed here" in stderr


def test_a_head_is_fitted_to_a_parent(run, classifier, data, tmp_path):
    settings = tmp_path / "s.toml"
    settings.write_text("steps = 4\nbatch_size = 9\n")
    out = tmp_path / "tuned"
    code, stdout, _ = run(
        "train", "classifier", "--data", data, "--method", "fine-tune", "--parent", classifier,
        "--fine-tune", "head", "--config", settings, "--out", out, "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(stdout)["stopped"] == "steps"
    card = load_card(out)
    assert card.config["fine_tune"] == "head"
    assert card.config["learning_rate"] == 3e-3
    assert card.summary == "Fine-tuned from typer, last layer trained."


def test_a_way_to_fine_tune_needs_that_method(run, data, tmp_path):
    code, _, stderr = run(
        "train", "classifier", "--data", data, "--fine-tune", "head", "--out", tmp_path / "m"
    )
    assert code == 2
    assert "--fine-tune is for --method fine-tune, not gamma-ladder" in stderr


def test_a_ladder_over_the_context_network_is_refused(run, data, tmp_path):
    code, _, stderr = run(
        "train", "classifier", "--data", data, "--method", "ladder", "--architecture",
        "context-cnn", "--out", tmp_path / "m",
    )  # fmt: skip
    assert code == 2
    assert "'ladder' is built over patch-cnn, not over context-cnn; 'fixmatch'" in stderr


def test_a_runtime_for_detectors_alone_says_what_types_the_nuclei(run, model, classifier, picture):
    arguments = ("detect", picture, "--model", model, "--mpp", "0.55", "--classify", classifier)
    code, _, stderr = run(*arguments, "--runtime", "dft")
    assert code == 0
    told = [line for line in stderr.splitlines() if "runtime eager" in line]
    assert len(told) == 1
    assert "'dft' does not compute it" in told[0]


def test_what_says_something_about_detecting_alone_is_refused(run, classifier, data):
    code, _, stderr = run(
        "evaluate", classifier, "--data", data, "--radius-um", "5", "--precision", "nonsense"
    )
    assert code == 2
    assert "--radius-um and --precision are for detectors" in stderr


def test_a_table_of_another_pixel_size_is_refused(run, classifier, picture, tmp_path):
    image = as_tiff(picture, tmp_path / "typed.tif", mpp=0.55)
    table = write_points_csv(
        tmp_path / "p.csv", Nuclei.from_points(DOTS), mpp=0.25, image="typed.tif"
    )
    base = ("classify", image, table, "-m", classifier, "--out", tmp_path / "t.csv")
    code, _, stderr = run(*base)
    assert code == 2
    assert "typed.tif says 0.55 µm per pixel, p.csv says 0.25" in stderr
    code, _, _ = run(*base, "--mpp", "0.55")
    assert code == 0
