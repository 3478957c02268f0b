"""No image is learnt from and held out at once, under whatever name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.leaks import refuse_leak
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet


def renamed(image: AnnotatedImage, name: str, dataset: str = "other") -> AnnotatedImage:
    pixels = image.source.read(Region.whole(image.source.shape))
    return replace(image, source=ArraySource(pixels, mpp=image.mpp, name=name), dataset=dataset)


def test_images_that_differ_are_allowed(train_set: LabelSet, validation_set: LabelSet) -> None:
    refuse_leak(train_set, validation_set)


def test_a_copy_under_another_name_is_refused_with_both_names(train_set: LabelSet) -> None:
    copy = renamed(train_set.images[1], "copied")
    with pytest.raises(
        TrainingError,
        match=r"^1 images are in training and in validation under two names, with the same pixels: "
        r"t1 = copied\. Take them out of one of the two, or the scores are too good\.$",
    ):
        refuse_leak(train_set, [copy])


def test_one_other_pixel_makes_another_image(train_set: LabelSet) -> None:
    pixels = train_set.images[1].source.read(Region(0, 0, 72, 72)).copy()
    pixels[71, 71, 2] ^= 1
    other = replace(train_set.images[1], source=ArraySource(pixels, mpp=0.55, name="x"))
    refuse_leak(train_set, [other])


def test_the_same_name_in_another_data_set_is_another_image(
    train_set: LabelSet, validation_set: LabelSet
) -> None:
    refuse_leak(train_set, [renamed(validation_set.images[0], "t0")])


def test_a_patient_on_both_sides_is_refused(train_set: LabelSet, validation_set: LabelSet) -> None:
    seen = [replace(i, patient="p1") for i in train_set]
    held = [replace(i, patient="p1") for i in validation_set]
    with pytest.raises(TrainingError, match=r"1 patients have images in a and in b: p1\. Split"):
        refuse_leak(seen, held, seen_in="a", held_in="b")
