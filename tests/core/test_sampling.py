from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.sampling import hold_out, label_budget
from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei


def labelled(patients):
    pixels = np.zeros((4, 4, 3), np.uint8)
    images = tuple(
        AnnotatedImage(
            ArraySource(pixels, mpp=0.5, name=f"i{n}"),
            Nuclei.empty(),
            (Region(0, 0, 4, 4),),
            patient=patient,
        )
        for n, patient in enumerate(patients)
    )
    return LabelSet(images, DEFAULT_CLASSES)


def test_images_of_one_patient_stay_together():
    split = hold_out(labelled(["a", "a", "b", "b", "c", "c"]), fraction=0.4, seed=1)
    sides = {}
    for image in split:
        sides.setdefault(image.patient, set()).add(image.split)
    assert all(len(side) == 1 for side in sides.values())
    assert {i.split for i in split} == {"train", "validation"}


def test_unknown_patients_are_split_by_image():
    split = hold_out(labelled(["unknown"] * 10), fraction=0.2)
    assert sum(i.split == "validation" for i in split) == 2


def test_the_seed_decides_which():
    labels = labelled([str(n) for n in range(20)])
    first, again, other = ([i.split for i in hold_out(labels, seed=s)] for s in (3, 3, 4))
    assert first == again
    assert first != other


def test_one_patient_cannot_be_split():
    with pytest.raises(LabelSetError, match="come from one patient"):
        hold_out(labelled(["a", "a", "a"]))


def with_classes(counts):
    label = np.repeat(np.arange(len(counts)), counts)
    pixels = np.zeros((4, 4, 3), np.uint8)
    halves = np.array_split(np.random.default_rng(0).permutation(label), 3)
    images = tuple(
        AnnotatedImage(
            ArraySource(pixels, mpp=0.5, name=f"i{n}"),
            Nuclei.from_points(np.ones((len(half), 2)), label=half),
            (Region(0, 0, 4, 4),),
        )
        for n, half in enumerate(halves)
    )
    return LabelSet(images, DEFAULT_CLASSES)


def left(labels):
    every = np.concatenate([i.nuclei.label for i in labels])
    return {int(n) for n in np.flatnonzero(every >= 0)}, np.bincount(every[every >= 0])


def test_a_budget_keeps_each_class_its_share():
    indices, counts = left(label_budget(with_classes([500, 300, 200]), 100, seed=3))
    assert len(indices) == 100
    assert list(counts) == [50, 30, 20]


def test_budgets_of_one_seed_are_nested():
    labels = with_classes([50, 30, 20])
    drawn = [left(label_budget(labels, n, seed=1))[0] for n in (10, 30, 100)]
    assert drawn[0] < drawn[1] < drawn[2]


def test_another_seed_draws_other_labels():
    labels = with_classes([50, 30, 20])
    assert left(label_budget(labels, 10, seed=1))[0] != left(label_budget(labels, 10, seed=2))[0]


def test_a_budget_above_the_labels_is_refused():
    with pytest.raises(LabelSetError, match="101 labels was asked for, but 100 nuclei"):
        label_budget(with_classes([50, 30, 20]), 101)


def test_a_budget_that_leaves_a_class_without_labels_is_refused():
    with pytest.raises(LabelSetError, match="leaves none for 'miscellaneous'"):
        label_budget(with_classes([500, 480, 2]), 10)
