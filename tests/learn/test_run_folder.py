"""From labels to a folder and a command."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_nucbudget.errors import OutputError, TrainingError
from napari_nucbudget.io.label_crops import around_fields, around_nuclei
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.learn.run_folder import plan_training, write_run
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei

RGB = np.random.default_rng(0).integers(0, 255, (600, 900, 3), np.uint8)
YX = np.array([(y, x) for y in range(10, 600, 20) for x in range(10, 900, 20)], float)


def image(name, fields=(), *, patient="unknown", split="train", mpp=0.5, label=-1):
    source = ArraySource(RGB, mpp=mpp, name=name)
    nuclei = Nuclei.from_points(YX, label=np.broadcast_to(label, len(YX)))
    return AnnotatedImage(source, nuclei, fields, patient=patient, split=split)


def labels(*images):
    return LabelSet(images, DEFAULT_CLASSES)


def test_a_crop_holds_the_field_its_dots_and_the_tissue_around():
    field = Region(300, 400, 100, 120)
    (crop,) = around_fields(labels(image("a", (field,))))
    (inner,) = crop.fields
    assert (inner.height, inner.width) == (100, 120)
    assert inner.y == inner.x == 144  # 72 µm at 0.5 µm/px
    np.testing.assert_array_equal(crop.source.read(inner), RGB[field.slices])
    assert len(crop.nuclei) == 5 * 6
    assert inner.contains(crop.nuclei.yx).all()


def test_fields_whose_surroundings_overlap_share_a_crop_and_others_do_not():
    near, far = Region(0, 0, 50, 50), Region(0, 800, 50, 50)
    crops = around_fields(labels(image("a", (near, Region(60, 60, 50, 50), far))))
    assert sorted(len(crop.fields) for crop in crops) == [1, 2]
    assert {crop.patient for crop in crops} == {"image a"}


def test_every_nucleus_is_in_one_crop_with_the_pixels_around_it():
    crops = around_nuclei(labels(image("a")))
    assert sum(len(crop.nuclei) for crop in crops) == len(YX)
    crop = crops.images[0]
    y, x = crop.nuclei.yx[0].astype(int)
    assert (crop.source.read(Region(y, x, 1, 1)) == RGB[10, 10]).all()


def test_what_is_too_few_is_told_with_numbers():
    few = labels(image("a", (Region(0, 0, 40, 40),)))
    plan = plan_training(few, task="detection", parent="p")
    assert "1 fields with 4 dots" in plan.problem
    with pytest.raises(TrainingError, match="1 fields with 4 dots"):
        write_run(plan, None)
    plan = plan_training(labels(image("a", label=0)), task="classification", parent="p")
    assert "inflammatory 0" in plan.problem


def test_one_patient_is_all_trained_on_and_keeps_some_of_the_parent():
    plan = plan_training(
        labels(image("a", (Region(0, 0, 200, 200),))), task="detection", parent="p"
    )
    assert (len(plan.train), len(plan.validation)) == (1, 0)
    assert "too few to hold one out" in plan.told
    assert plan.settings["parent_share"] > 0


def test_patients_are_held_out_whole_and_test_images_are_in_neither(tmp_path):
    field = (Region(0, 0, 200, 200), Region(380, 0, 200, 200))
    many = [image(f"i{n}", field, patient=f"p{n}") for n in range(6)]
    plan = plan_training(
        labels(*many, image("t", field, split="test")), task="detection", parent="p"
    )
    sides = [{i.patient for i in part} for part in (plan.train, plan.validation, plan.test)]
    assert [len(side) for side in sides] == [5, 1, 1]
    assert len(set.union(*sides)) == 7
    run = write_run(plan, tmp_path / "run")
    read = read_label_set(tmp_path / "run" / "labels")
    assert {i.patient for i in read.split("validation")} == sides[1]
    assert run.arguments[:4] == ("train", "detector", "--data", str(tmp_path / "run" / "labels"))
    with pytest.raises(OutputError, match="not empty"):
        write_run(plan, tmp_path / "run")


def test_each_pixel_size_has_a_folder_and_held_out_images_teach_no_ladder(tmp_path):
    kinds = np.arange(len(YX)) % 3
    mine = labels(
        image("a", label=kinds),
        image("b", label=kinds, mpp=0.25),
        image("v", label=kinds, split="validation"),
    )
    others = labels(image("a"), image("v", split="validation"), image("c"))
    plan = plan_training(mine, task="classification", unlabelled=others)
    assert plan.settings["method"] == "gamma-ladder"
    run = write_run(replace(plan), tmp_path / "run")
    assert run.arguments.count("--data") == 2
    teaching = {i.source.name.split("_")[0] for i in plan.unlabelled}
    assert teaching == {"a", "c"}
    assert all((i.nuclei.label == -1).all() for i in plan.unlabelled)
