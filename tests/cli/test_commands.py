from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_nucbudget.io.label_sets import read_label_set, write_label_set
from napari_nucbudget.models import library
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_card, model_folder, shipped_models
from napari_nucbudget.project.lock import WriteLock
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei
from tests.cli.conftest import DOTS, draw

SCORE_KEYS = {
    "task",
    "images",
    "nuclei",
    "precision",
    "recall",
    "f1",
    "f1_ci",
    "aupr",
    "threshold",
    "best",
    "radius_um",
    "mpp",
    "seconds",
    "model",
    "data",
    "split",
}

LONG = "a" * 300


@pytest.fixture
def labels(tmp_path):
    """Label set folder: three images for training, one for testing, none for validation."""
    splits = {"a": "train", "b": "train", "c": "train", "d": "test"}
    images = tuple(
        AnnotatedImage(
            ArraySource(np.clip(draw() + number, 0, 255).astype(np.uint8), mpp=0.55, name=name),
            Nuclei.from_points(DOTS),
            (Region(0, 0, 110, 110),),
            split=split,
        )
        for number, (name, split) in enumerate(splits.items())  # no two have the same pixels
    )
    folder = tmp_path / "discs"
    write_label_set(LabelSet(images, DEFAULT_CLASSES, (Provenance("discs"),)), folder)
    return str(folder)


def test_evaluate_prints_every_figure_as_json(run, model, labels):
    code, stdout, _ = run("evaluate", model, "--data", labels, "--split", "test", "--json")
    assert code == 0
    scores = json.loads(stdout)
    assert set(scores) == SCORE_KEYS
    assert set(scores["best"]) == {"threshold", "precision", "recall", "f1"}
    assert (scores["f1"], scores["nuclei"], scores["radius_um"]) == (1.0, 5, 3.3)
    assert (scores["model"], scores["data"], scores["split"]) == ("darkness", "discs", "test")


def test_evaluate_says_it_in_words(run, model, labels):
    code, stdout, _ = run("evaluate", model, "--data", labels, "--split", "train")
    assert code == 0
    assert "radius 3.3 µm at 0.55 µm/px" in stdout
    assert "95 % interval 1.000 to 1.000" in stdout


def test_one_image_has_no_interval(run, model, labels):
    code, stdout, _ = run("evaluate", model, "--data", labels)
    assert code == 0
    assert "F1 1.000 (no interval: all nuclei are in one image)" in stdout


def test_evaluate_records_scores_in_the_card(run, model, labels):
    for _ in range(2):
        run("evaluate", model, "--data", labels, "--record")
    (record,) = Detector.load(model, device="cpu").card.scores
    assert (record.data, record.split, record.metrics["f1"]) == ("discs", "test", 1.0)


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_scores_are_not_recorded_in_a_model_that_ships(run, labels, monkeypatch, tmp_path, task):
    name = next(n for n, f in shipped_models().items() if load_card(f).task == task)
    shipped = shutil.copytree(model_folder(name), tmp_path / name)
    monkeypatch.setattr(library, "shipped_models", lambda: {name: shipped})
    before = (shipped / "card.json").read_bytes()
    for model in (name, shipped):
        code, stdout, stderr = run("evaluate", model, "--data", labels, "--record")
        assert (code, stdout) == (2, "")
        assert f"The card of {name} belongs to the package" in stderr
    assert (shipped / "card.json").read_bytes() == before


@pytest.mark.parametrize("resume", [True, False])
def test_a_detector_is_not_trained_with_a_method_for_types(run, labels, tmp_path, resume):
    out = tmp_path / "out"
    out.mkdir()
    settings = out / "config.json"
    settings.write_text('{"method": "descriptors", "steps": 1}')
    given = ["--resume"] if resume else ["--config", settings]
    code, stdout, stderr = run("train", "detector", "--data", labels, "--out", out, *given)
    assert (code, stdout) == (2, "")
    assert f"The method 'descriptors' of {settings} trains a classifier" in stderr
    assert list(out.iterdir()) == [settings]


def test_an_unknown_split_lists_the_splits(run, model, labels):
    code, _, stderr = run("evaluate", model, "--data", labels, "--split", "tset")
    assert code == 2
    assert "train, validation, test" in stderr


def test_a_folder_that_is_no_label_set_says_what_is_missing(run, model, tmp_path):
    code, _, stderr = run("evaluate", model, "--data", tmp_path)
    assert code == 2
    assert "dataset.json" in stderr


def test_a_detector_is_trained_and_detects(run, labels, image, tmp_path):
    settings = tmp_path / "quick.toml"
    settings.write_text('steps = 4\nsteps_per_epoch = 2\ncrop = 64\nprecision = "float32"\n')
    out = tmp_path / "mine"
    code, stdout, stderr = run(
        "train", "detector", "--data", labels, "--config", settings, "--out", out, "--json"
    )
    assert code == 0
    assert "held out 1" in stderr
    summary = json.loads(stdout)
    assert (summary["epochs"], summary["stopped"]) == (2, "steps")
    code, stdout, _ = run("detect", image, "--model", out, "--mpp", "0.55", "--json")
    assert code == 0
    assert json.loads(stdout)["model"] == "mine"


def test_training_into_a_folder_with_a_model_is_refused(run, labels, model):
    code, _, stderr = run("train", "detector", "--data", labels, "--out", model)
    assert code == 2
    assert "holds a run already. Give another folder." in stderr  # no state: nothing to resume


def test_two_trainings_into_one_folder_are_refused(run, labels, tmp_path):
    lock = WriteLock(tmp_path / "m")
    code, _, stderr = run("train", "detector", "--data", labels, "--out", tmp_path / "m")
    assert code == 2
    assert f"Another process trains into {tmp_path / 'm'} at this moment." in stderr
    assert not (tmp_path / "m").exists()
    lock.release()


def test_a_training_that_is_refused_leaves_no_folder_and_no_lock(run, labels, tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text("find_steps = 10\nsteps = 20\n")
    code, _, stderr = run(
        "train", "detector", "--data", labels, "--config", config, "--out", tmp_path / "a" / "m"
    )
    assert code == 2
    assert "find_steps is for window-cnn" in stderr
    assert not (tmp_path / "a").exists()


def test_an_unknown_setting_is_named(run, labels, tmp_path):
    settings = tmp_path / "s.json"
    settings.write_text('{"stepz": 3}')
    code, _, stderr = run(
        "train", "detector", "--data", labels, "--config", settings, "--out", tmp_path / "m"
    )
    assert code == 2
    assert "Did you mean 'steps'" in stderr


def test_settings_that_are_no_toml_are_refused(run, labels, tmp_path):
    settings = tmp_path / "s.toml"
    settings.write_text("steps: 3")
    code, _, stderr = run(
        "train", "detector", "--data", labels, "--config", settings, "--out", tmp_path / "m"
    )
    assert code == 2
    assert "not a TOML or JSON file" in stderr


def test_one_patient_alone_cannot_be_trained_on(run, labels, tmp_path):
    whole = read_label_set(labels)
    one = replace(whole, images=tuple(replace(i, patient="P1") for i in whole))
    folder = write_label_set(one, tmp_path / "one")
    code, _, stderr = run("train", "detector", "--data", folder, "--out", tmp_path / "m")
    assert code == 2
    assert "come from one patient" in stderr


def test_one_patient_is_enough_to_fine_tune_a_detector(run, labels, model, tmp_path):
    whole = read_label_set(labels)
    one = replace(whole, images=tuple(replace(i, patient="P1") for i in whole))
    folder = write_label_set(one, tmp_path / "one")
    settings = tmp_path / "s.toml"
    settings.write_text("steps = 2\nsteps_per_epoch = 1\ncrop = 48\n")
    code, _, stderr = run(
        *("train", "detector", "--data", folder, "--parent", model),
        *("--config", settings, "--out", tmp_path / "m"),
    )
    assert code == 0, stderr
    assert "1 patient is too few to hold one out" in stderr
    assert "training fields" in json.loads((tmp_path / "m" / "card.json").read_text())["split"]


def test_the_shipped_models_are_listed(run):
    code, stdout, _ = run("models", "list", "--json")
    assert code == 0
    assert {"colon-fcn", "nuclei-fcn"} <= {m["name"] for m in json.loads(stdout)}


def test_a_kept_model_is_listed_by_the_name_of_its_folder(run, model, tmp_path, monkeypatch):
    monkeypatch.setenv("NUCBUDGET_MODELS", str(tmp_path / "kept"))
    shutil.copytree(model, tmp_path / "kept" / "renamed")
    assert "renamed  (detection" in run("models", "list")[1]
    names = [m["name"] for m in json.loads(run("models", "list", "--json")[1])]
    assert "renamed" in names
    assert "darkness" not in names


def test_a_card_is_shown_with_licence_and_scores(run):
    code, stdout, _ = run("models", "show", "colon-fcn")
    assert code == 0
    assert "research" in stdout
    assert "colon test: F1" in stdout


def test_an_unknown_card_is_answered_with_near_misses(run):
    code, _, stderr = run("models", "show", "colon-fnc")
    assert code == 2
    assert "colon-fcn" in stderr


def test_the_demo_writes_a_picture_and_a_table_and_an_honest_score(run, tmp_path):
    code, stdout, _ = run(
        "demo",
        "--out",
        tmp_path,
        "--model",
        "colon-fcn",
        "--no-viewer",
        "--json",
        "--device",
        "cpu",
    )
    assert code == 0
    result = json.loads(stdout)
    assert result["f1"] >= 0.80
    assert (tmp_path / "drawn_biopsy.nuclei.csv").stat().st_size > 1000
    assert (tmp_path / "drawn_biopsy.nuclei.png").stat().st_size > 10_000


def test_help_does_not_load_torch():
    code = (
        "import sys, napari_nucbudget.cli as c\n"
        "try:\n    c.main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'torch', 'napari', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_is_said_and_is_no_success(run, image, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_nucbudget.models.library.load_detector", interrupted)
    code, _, stderr = run("detect", image, "--mpp", "0.55")
    assert (code, stderr.strip()) == (130, "nucbudget: stopped")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_want_of_memory_is_said_in_a_sentence(run, image, monkeypatch, error):
    def too_large(*_, **__):
        raise error

    monkeypatch.setattr("napari_nucbudget.models.library.load_detector", too_large)
    code, stdout, stderr = run("detect", image, "--mpp", "0.55")
    assert (code, stdout) == (2, "")
    assert stderr.startswith("nucbudget: Memory ran out.")


def test_another_error_of_the_runtime_is_not_taken_for_want_of_memory(run, image, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("napari_nucbudget.models.library.load_detector", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run("detect", image, "--mpp", "0.55")


@pytest.mark.parametrize("kind", ["detector", "classifier"])
def test_a_seed_below_0_is_refused_before_anything_is_written(run, labels, tmp_path, kind):
    out = tmp_path / "m"
    code, _, stderr = run("train", kind, "--data", labels, "--out", out, "--seed", "-1")
    assert (code, out.exists()) == (2, False)
    assert "seed must be at least 0, got -1" in stderr


def test_without_a_field_nothing_can_be_scored(run, model, labels, tmp_path):
    whole = read_label_set(labels)
    bare = replace(whole, images=tuple(replace(i, fields=()) for i in whole))
    folder = write_label_set(bare, tmp_path / "bare")
    code, stdout, stderr = run("evaluate", model, "--data", folder, "--split", "train")
    assert (code, stdout) == (2, "")
    assert "No image has a field" in stderr


def test_an_image_without_a_field_does_not_count(run, model, labels, tmp_path):
    whole = read_label_set(labels)
    images = tuple(replace(i, fields=() if i.name == "a" else i.fields) for i in whole)
    folder = write_label_set(replace(whole, images=images), tmp_path / "some")
    code, stdout, _ = run("evaluate", model, "--data", folder, "--split", "train", "--json")
    assert code == 0
    assert json.loads(stdout)["images"] == 2


@pytest.mark.parametrize("radius", ["inf", "0", "nan"])
def test_a_matching_radius_that_is_no_length_is_refused(run, model, labels, radius):
    code, stdout, stderr = run("evaluate", model, "--data", labels, "--radius-um", radius)
    assert (code, stdout) == (2, "")
    assert "Invalid value for '--radius-um'" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("detect", "x.png", "--model", LONG),
        ("convert", LONG, "x.csv"),
        ("models", "show", LONG),
        ("budget", LONG, "--out", "x"),
    ],
)
def test_a_name_longer_than_the_system_allows_is_said(run, arguments):
    code, stdout, stderr = run(*arguments)
    assert (code, stdout) == (2, "")
    assert stderr.startswith("nucbudget: ")
    assert stderr.endswith(" cannot be used: File name too long.\n")


def test_a_drawn_slide_is_called_a_tiff(run, tmp_path):
    code, _, stderr = run("sample-slide", tmp_path / "mine.png", "--size", "256x256")
    assert code == 2
    assert "call it mine.ome.tif, not mine.png" in stderr
    assert not list(tmp_path.iterdir())
