from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.io.label_sets import write_label_set
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei

TEXT = """
title = "Types"
task = "classification"
target = "organ"
budgets = ["6"]
draws = 2
baseline = "supervised"
[methods.supervised]
settings = { steps = 2, steps_per_epoch = 1, batch_size = 6 }
"""


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(TEXT)
    return file


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    dots = np.stack(np.meshgrid([20, 50, 80], [20, 50, 80], indexing="ij"), -1).reshape(-1, 2)
    images = tuple(
        AnnotatedImage(
            ArraySource(rng.integers(0, 256, (100, 100, 3)).astype(np.uint8), mpp=0.55, name=split),
            Nuclei.from_points(dots, label=np.arange(9) % 3),
            (Region(0, 0, 100, 100),),
            split=split,
        )
        for split in ("train", "validation", "test")
    )
    write_label_set(
        LabelSet(images, DEFAULT_CLASSES, (Provenance("organ"),)), tmp_path / "data" / "organ"
    )
    return tmp_path / "data"


def test_an_experiment_writes_its_table_and_says_how_it_goes(run, recipe, data, tmp_path):
    out = tmp_path / "out"
    code, stdout, stderr = run("budget", recipe, "--data", data, "--out", out, "--device", "cpu")
    assert code == 0, stderr
    assert "[1/2" in stderr
    assert "supervised, 6, draw 1: done, weighted F1" in stderr
    assert stdout.splitlines() == [
        str(out / "results" / name) for name in ("tiny.csv", "tiny.md", "tiny-budget.svg")
    ]
    text = (out / "results" / "tiny.md").read_text()
    assert "| 6 | supervised | 2 |" in text
    assert f"Made by `nucbudget budget {recipe} --out {out}`." in text
    again = run("budget", recipe, "--out", out, "--report-only", "--results", tmp_path / "other")
    assert again[0] == 0
    assert (tmp_path / "other" / "tiny.md").exists()


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "1/0", "a/b"])
def test_parts_that_are_none_are_refused(run, recipe, data, tmp_path, part):
    code, _, stderr = run("budget", recipe, "--data", data, "--out", tmp_path / "o", "--part", part)
    assert code == 2
    assert "--part must be i/n" in stderr


def test_an_absent_data_folder_is_asked_for(run, recipe, tmp_path, monkeypatch):
    monkeypatch.delenv("NUCBUDGET_DATA", raising=False)
    code, _, stderr = run("budget", recipe, "--out", tmp_path / "o")
    assert code == 2
    assert "--data, or NUCBUDGET_DATA" in stderr


def test_a_damaged_cell_is_one_line(run, recipe, tmp_path):
    cells = tmp_path / "out" / "cells"
    cells.mkdir(parents=True)
    (cells / "supervised-6-0.json").write_text('{"row": "supervised"}')
    code, _, stderr = run("budget", recipe, "--out", tmp_path / "out", "--report-only")
    assert code == 2
    assert "supervised-6-0.json is damaged (budget: Field required). Delete it" in stderr
    assert len(stderr.splitlines()) == 1


def test_an_unknown_recipe_is_one_line(run, data, tmp_path):
    code, _, stderr = run("budget", "table3-brest", "--data", data, "--out", tmp_path / "o")
    assert code == 2
    assert "Did you mean 'table3-breast'" in stderr
    assert len(stderr.splitlines()) == 1


def test_a_report_alone_lays_no_folder_down_for_a_recipe(run, recipe, data, tmp_path):
    out = tmp_path / "out"
    code, _, stderr = run("budget", recipe, "--out", out, "--report-only")
    assert (code, "holds no finished cell" in stderr) == (2, True)
    assert not out.exists()
    recipe.write_text(TEXT.replace("steps = 2,", "steps = 3,"))
    assert run("budget", recipe, "--out", out, "--data", data)[0] == 0
