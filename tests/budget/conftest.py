"""A folder of two small label sets of typed discs, and recipes over them that take seconds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.budget.recipe import read_recipe
from napari_nucbudget.io.label_sets import write_label_set
from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei

COLOURS = ((70, 40, 120), (10, 0, 30), (150, 20, 60))
SHORT = "settings = { steps = 4, steps_per_epoch = 2, batch_size = 6, ema = 0.5 }"


def typed_image(name, split, seed, *, side=150, mpp=0.5):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(15, side - 10, 30)] * 2, indexing="ij"), -1)
    dots = grid.reshape(-1, 2) + rng.integers(-3, 4, (grid[..., 0].size, 2))
    label = np.arange(len(dots)) % 3
    rgb = np.full((side, side, 3), (230, 180, 215), np.float64)
    rows, columns = np.indices((side, side))
    for (y, x), k in zip(dots, label, strict=True):
        rgb[(rows - y) ** 2 + (columns - x) ** 2 <= 36] = COLOURS[k]
    rgb = np.clip(rgb + rng.normal(0, 8, rgb.shape), 0, 255).astype(np.uint8)
    return AnnotatedImage(
        ArraySource(rgb, mpp=mpp, name=name),
        Nuclei.from_points(dots, label=label),
        (Region(0, 0, side, side),),
        split=split,
    )


@pytest.fixture(scope="session")
def types_found():
    """What a classification cell finds, in the least words."""
    scores = ClassScores(1, 25, 0.5, 0.5, 0.5, (0.4, 0.6), {"epithelial": 0.5}, [[1]], 0.1, 0.55)
    return {"labels": 9, "train_seconds": 1.0, "scores": {"last": scores.to_dict()}}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """NUCBUDGET_DATA in small: target and source."""
    folder = tmp_path_factory.mktemp("data")
    for number, name in enumerate(("target", "source")):
        images = tuple(
            typed_image(f"{name}_{split}", split, 10 * number + i)
            for i, split in enumerate(("train", "validation", "test"))
        )
        labels = LabelSet(images, DEFAULT_CLASSES, (Provenance(name),))
        write_label_set(labels, folder / name)
    return folder


@pytest.fixture(scope="session")
def write_recipe(tmp_path_factory):
    """Recipe of a TOML text, by name."""

    def write(text, name="small"):
        file = tmp_path_factory.mktemp("recipes") / f"{name}.toml"
        file.write_text(text)
        return file

    return write


@pytest.fixture(scope="session")
def types_text():
    return f"""
title = "Types"
task = "classification"
target = "target"
budgets = ["9", "100%"]
draws = 2
draws_at = {{ "100%" = 1 }}
baseline = "supervised"
descriptors = true
[methods.supervised]
{SHORT}
[methods.fine-tune]
{SHORT}
[parent]
data = ["source"]
{SHORT}
[quick]
steps = 2
budgets = ["9"]
"""


@pytest.fixture(scope="session")
def types_recipe(write_recipe, types_text):
    return read_recipe(str(write_recipe(types_text)))


@pytest.fixture(scope="session")
def fields_recipe(write_recipe):
    text = """
title = "Fields"
task = "detection"
target = "target"
source = "source"
field_um = 25.0
budgets = ["2", "100%"]
draws = 1
baseline = "scratch"
settings = { steps = 2, steps_per_epoch = 1, batch_size = 1, crop = 60, precision = "float32" }
[methods.scratch]
method = "detection"
[methods.fine-tune]
method = "detection"
parent = true
[parent]
model = "colon-fcn"
"""
    return read_recipe(str(write_recipe(text, "fields")))
