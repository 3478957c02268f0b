"""A crop is seen with the stain of the slide that it was cut out of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.core.stain import to_rgb
from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.infer.crop_stain import with_stain
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.io.label_crops import around_nuclei, by_pixel_size
from napari_nucbudget.io.label_sets import read_label_set, write_label_set
from napari_nucbudget.learn.patch_data import nucleus_patches, stain_reference
from napari_nucbudget.learn.run_folder import plan_training, write_run
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei

REFERENCE = StainReference(mean=(0.35, 0.6, 0.3), std=(0.2, 0.3, 0.15))


@pytest.fixture(scope="module")
def slide() -> ArraySource:
    """Tissue that gets denser to the right, so that no crop is stained like the whole."""
    rng = np.random.default_rng(0)
    density = rng.gamma(4.0, 0.08, (1100, 2400, 3)).astype(np.float32) + 0.1
    density *= np.linspace(0.5, 2.0, 2400, dtype=np.float32)[None, :, None]
    return ArraySource(np.round(to_rgb(density)).astype(np.uint8), mpp=0.55, name="slide")


@pytest.fixture(scope="module")
def labels(slide: ArraySource) -> LabelSet:
    rng = np.random.default_rng(1)
    yx = rng.uniform((80, 80), (1000, 2300), (60, 2))
    nuclei = Nuclei.from_points(yx, label=np.arange(60) % 3, classes=DEFAULT_CLASSES)
    return LabelSet((AnnotatedImage(slide, nuclei, ()),), DEFAULT_CLASSES)


def sorted_patches(labels: LabelSet) -> np.ndarray:
    rgb = nucleus_patches(labels, mpp=0.55, side=27, stain=REFERENCE).rgb
    return rgb[np.lexsort(rgb.reshape(len(rgb), -1)[:, :6].T)]


def test_nuclei_of_a_crop_look_in_training_as_they_do_on_their_slide(
    labels: LabelSet, tmp_path: Path
) -> None:
    crops = by_pixel_size(around_nuclei(labels), "labels")
    assert len(crops) > 1
    on_slide = sorted_patches(labels)
    alone = sorted_patches(crops)
    assert np.abs(alone.astype(float) - on_slide).mean() > 5  # each crop stretched by itself
    write_label_set(with_stain(crops), tmp_path / "crops")
    np.testing.assert_array_equal(sorted_patches(read_label_set(tmp_path / "crops")), on_slide)


def test_the_reference_of_crops_is_their_slide(labels: LabelSet) -> None:
    crops = with_stain(around_nuclei(labels))
    assert stain_reference(crops, mpp=0.55) == stain_reference(labels, mpp=0.55)
    assert stain_reference(around_nuclei(labels), mpp=0.55) != stain_reference(labels, mpp=0.55)


def test_whole_images_keep_their_own(labels: LabelSet) -> None:
    assert with_stain(labels).images[0].stain is None


def test_a_run_is_written_with_the_stain_of_the_slide(
    labels: LabelSet, slide: ArraySource, tmp_path: Path
) -> None:
    others = replace(labels, images=(replace(labels.images[0], split="train"),))
    plan = plan_training(labels, task="classification", unlabelled=others)
    write_run(plan, tmp_path / "run")
    whole = ModelGrid.of(slide, mpp=0.55, model_mpp=0.55).stain()
    for part in ("labels", "unlabelled"):
        assert {image.stain for image in read_label_set(tmp_path / "run" / part)} == {whole}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"slide": 3},
        {"slide": {"mean": [0.1, 0.2, 0.3], "pixels": 5}},
        {"slide": {"mean": [0.1, 0.2], "std": [0.1, 0.2, 0.3], "pixels": 5}},
        {"slide": {"mean": [0.1, 0.2, "x"], "std": [0.1, 0.2, 0.3], "pixels": 5}},
        {"slide": {"mean": [0.1, 0.2, -1], "std": [0.1, 0.2, 0.3], "pixels": 5}},
    ],
)
def test_a_wrong_stain_is_told_with_its_file(labels: LabelSet, tmp_path: Path, wrong) -> None:
    folder = write_label_set(labels, tmp_path / "set")
    facts = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(facts | {"stained": wrong}))
    if wrong == []:  # nothing named, nothing wrong
        assert read_label_set(folder).images[0].stain is None
        return
    with pytest.raises(LabelSetError, match=r'dataset\.json: "stained" must map'):
        read_label_set(folder)


def test_a_crop_of_a_crop_keeps_the_stain_of_the_slide(labels: LabelSet, tmp_path: Path) -> None:
    write_label_set(with_stain(by_pixel_size(around_nuclei(labels), "labels")), tmp_path / "crops")
    crops = read_label_set(tmp_path / "crops")
    again = with_stain(by_pixel_size(around_nuclei(crops), "labels"))
    assert {image.stain for image in again} == {image.stain for image in crops}
