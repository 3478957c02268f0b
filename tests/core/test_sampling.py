from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_nucbudget.core.sampling import (
    budget_size,
    cut_into_fields,
    field_budget,
    hold_out,
    label_budget,
    small_fields,
)
from napari_nucbudget.errors import ConfigError, LabelSetError
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


@pytest.mark.parametrize(("text", "size"), [("40", 40), ("1%", 5), ("0.1%", 1), ("100%", 500)])
def test_a_budget_is_a_number_or_a_percentage(text, size):
    assert budget_size(text, 500) == size


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5", "0%", "101%", "nan%", "inf%", ""])
def test_other_budgets_are_refused(text):
    with pytest.raises(ConfigError, match="a number such as 40, or a percentage"):
        budget_size(text, 500)


def test_small_fields_cover_a_region_once():
    count = np.zeros((90, 70), int)
    for small in cut_into_fields(Region(10, 5, 73, 61), 20):
        count[small.slices] += 1
    assert (count[10:83, 5:66] == 1).all()
    assert count.sum() == 73 * 61


def dotted(images=2, side=100):
    """Images of 4 x 4 fields of 10 µm, with dots in the left half only."""
    dots = np.stack(np.meshgrid(np.arange(5, 100, 10), np.arange(5, 50, 10), indexing="ij"), -1)
    made = tuple(
        AnnotatedImage(
            ArraySource(np.zeros((side, side, 3), np.uint8), mpp=0.4, name=f"d{n}"),
            Nuclei.from_points(dots.reshape(-1, 2)),
            (Region(0, 0, side, side),),
        )
        for n in range(images)
    )
    return LabelSet(made, DEFAULT_CLASSES)


def fields_of(labels):
    return {(image.name, field) for image in labels for field in image.fields}


def test_fields_of_a_small_budget_are_among_those_of_a_larger_one():
    smaller, larger = (
        field_budget(dotted(), budget, side_um=10, seed=3) for budget in ("4", "50%")
    )
    assert len(fields_of(smaller)) == 4
    assert len(fields_of(larger)) == 16
    assert fields_of(smaller) < fields_of(larger)


def test_seeds_draw_other_fields():
    draws = {
        frozenset(fields_of(field_budget(dotted(), "5", side_um=10, seed=s))) for s in range(4)
    }
    assert len(draws) == 4


@pytest.mark.parametrize("seed", range(8))
def test_a_single_field_holds_dots_and_no_other_dot_is_left(seed):
    few = field_budget(dotted(), "1", side_um=10, seed=seed)
    (image,) = few
    assert len(image.nuclei) == len(image.in_fields()) > 0


def test_all_fields_leave_the_label_set_as_it_is():
    whole = dotted()
    assert field_budget(whole, "100%", side_um=10) is whole
    assert len(small_fields(whole, side_um=10)) == 32


def test_more_fields_than_there_are_are_refused():
    with pytest.raises(LabelSetError, match="33 fields of 10 µm was asked for"):
        field_budget(dotted(), "33", side_um=10)


def test_fields_without_any_dot_are_refused():
    bare = tuple(replace(image, nuclei=Nuclei.empty()) for image in dotted())
    with pytest.raises(LabelSetError, match="None of the 32 fields holds a dot"):
        field_budget(LabelSet(bare, DEFAULT_CLASSES), "2", side_um=10)
