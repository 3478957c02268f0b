"""Labelled images, their fields and splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei


def image(name: str = "a", split: str = "train", mpp: float | None = 0.5) -> AnnotatedImage:
    return AnnotatedImage(
        source=ArraySource(np.zeros((20, 20, 3), np.uint8), mpp=mpp, name=name),
        nuclei=Nuclei.from_points([[2, 2], [12, 12], [18, 3]]),
        fields=(Region(0, 0, 10, 10), Region(10, 10, 10, 10), Region(10, 10, 4, 4)),
        split=split,
    )


def test_nuclei_in_fields_are_counted_once_however_fields_overlap() -> None:
    assert image().in_fields().yx.tolist() == [[2, 2], [12, 12]]


def test_an_image_without_fields_has_no_nuclei_in_them() -> None:
    assert len(replace(image(), fields=()).in_fields()) == 0


def test_a_labelled_image_always_has_a_pixel_size() -> None:
    assert image().mpp == 0.5
    with pytest.raises(LabelSetError, match="labelled image 'a' has no pixel size"):
        _ = image(mpp=None).mpp


def test_a_split_is_its_images() -> None:
    labels = LabelSet((image("a"), image("b", "test")), DEFAULT_CLASSES)
    assert [i.name for i in labels.split("test")] == ["b"]
    assert labels.nuclei_count == 6
    with pytest.raises(
        LabelSetError, match=r"No image is in the split 'validation'; .*test, train"
    ):
        labels.split("validation")


def test_label_sets_are_joined_with_their_provenance() -> None:
    parts = [LabelSet((image(n),), DEFAULT_CLASSES, (Provenance(n),)) for n in "ab"]
    both = LabelSet.concat(parts)
    assert [i.name for i in both] == ["a", "b"]
    assert [p.name for p in both.provenance] == ["a", "b"]


def test_label_sets_with_other_classes_are_not_joined() -> None:
    other = ClassScheme((NucleusClass("mitosis", "red"),))
    with pytest.raises(LabelSetError, match=r"different classes cannot be joined: .*mitosis"):
        LabelSet.concat([LabelSet((image(),), DEFAULT_CLASSES), LabelSet((image(),), other)])


def test_label_sets_whose_classes_have_other_colours_are_joined() -> None:
    recoloured = tuple(replace(c, color="#123456") for c in DEFAULT_CLASSES.classes)
    parts = [LabelSet((image(),), c) for c in (DEFAULT_CLASSES, ClassScheme(recoloured))]
    assert LabelSet.concat(parts).classes == DEFAULT_CLASSES


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(LabelSetError, match="no label set to join"):
        LabelSet.concat([])
