"""Queries: regions, counts, readings of a field, and labels to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.core.agreement import agreement
from napari_nucbudget.errors import LabelSetError, ProjectError, RegionError
from napari_nucbudget.project import ClassCount, ProjectImage, ProjectStore
from napari_nucbudget.project.grid import LOOSE_LIMIT, TileGrid
from napari_nucbudget.types.image import ArraySource, ImageSource, Region
from napari_nucbudget.types.nuclei import HUMAN, Nuclei


def drawn(image: ProjectImage) -> ImageSource:
    return ArraySource(np.zeros((*image.shape, 3), np.uint8), mpp=image.mpp, name=image.name)


def test_the_index_finds_what_a_scan_finds_while_points_move() -> None:
    rng = np.random.default_rng(0)
    yx = rng.uniform(-0.5, 3000, (3000, 2)).astype(np.float32)
    grid = TileGrid()
    grid.touch(np.arange(2000))
    grid.sort(yx[:2000])
    grid.touch(np.arange(2000, 3000))
    for _ in range(50):
        moved = rng.integers(0, 3000, 5)
        yx[moved] = rng.uniform(-0.5, 4000, (5, 2))
        grid.touch(np.unique(moved))
        region = Region(*map(int, rng.integers(-600, 4000, 2)), *map(int, rng.integers(1, 2000, 2)))
        np.testing.assert_array_equal(grid.query(region, yx), np.flatnonzero(region.contains(yx)))


def test_the_index_finds_the_same_once_it_has_sorted_itself() -> None:
    yx = np.random.default_rng(0).uniform(0, 5000, (LOOSE_LIMIT + 1, 2)).astype(np.float32)
    grid = TileGrid()
    grid.touch(np.arange(len(yx)))
    region = Region(400, 500, 700, 1300)
    np.testing.assert_array_equal(grid.query(region, yx), np.flatnonzero(region.contains(yx)))


def test_a_nucleus_on_the_border_is_in_one_of_two_regions(store: ProjectStore) -> None:
    store.add(1, [(10, 511.4), (10, 511.6)])
    left = store.nuclei(1, Region(0, 0, 512, 512))
    right = store.nuclei(1, Region(0, 512, 512, 512))
    assert left.yx[:, 1].tolist() == [np.float32(511.4)]
    assert right.yx[:, 1].tolist() == [np.float32(511.6)]


def test_nuclei_can_be_asked_for_by_id(store: ProjectStore, proposals: Nuclei) -> None:
    ids = store.add_proposals(1, proposals)
    assert store.nuclei(1, ids=ids[[7, 3]]).id.tolist() == [ids[3], ids[7]]


def test_a_copy_does_not_change_with_the_project(store: ProjectStore, proposals: Nuclei) -> None:
    ids = store.add_proposals(1, proposals)
    copy = store.nuclei(1)
    store.move(ids, copy.yx + 1)
    np.testing.assert_array_equal(copy.yx, proposals.yx)


def test_counts_tell_proposals_from_human_dots(store: ProjectStore, proposals: Nuclei) -> None:
    ids = store.add_proposals(1, proposals)
    store.accept(ids[:4])
    store.reject(ids[39])
    store.add(1, (5, 5))
    expected = {
        "epithelial": ClassCount(11, 2),
        "inflammatory": ClassCount(12, 1),
        "miscellaneous": ClassCount(12, 1),
        "unlabelled": ClassCount(0, 1),
    }
    assert store.counts() == store.counts(1) == expected
    assert store.counts(1, Region(0, 0, 2000, 3000)) == expected
    assert store.counts(1, Region(0, 0, 200, 500))["epithelial"] == ClassCount(0, 1)


def test_proposals_without_probabilities_have_none_beside_those_that_have(
    store: ProjectStore, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals.select(np.arange(1)))
    store.add(1, (5, 5))
    prob = store.nuclei(1).prob
    assert prob is not None
    np.testing.assert_array_equal(prob[0], proposals.prob[0])  # type: ignore[index]
    assert np.isnan(prob[1]).all()


def test_a_field_with_unanswered_proposals_is_refused(
    store: ProjectStore, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals)
    region = Region(0, 0, 200, 500)
    with pytest.raises(ProjectError, match="2 proposals in this field are unanswered"):
        store.add_field(1, region)
    store.accept_all(1, region)
    assert store.add_field(1, region).region == region


def test_a_field_is_clipped_to_its_image_or_refused(store: ProjectStore) -> None:
    assert store.add_field(1, Region(-5, 2990, 10, 100)).region == Region(0, 2990, 5, 10)
    with pytest.raises(RegionError):
        store.add_field(1, Region(5000, 0, 10, 10))
    with pytest.raises(ProjectError, match=r"no field 9; the project has: \[1\]"):
        store.remove_field(9)


def test_the_label_set_holds_what_people_said_and_nothing_else(
    store: ProjectStore, proposals: Nuclei
) -> None:
    ids = store.add_proposals(1, proposals)
    store.accept(ids[:3])
    store.reject(ids[3])
    dots = store.add(1, (5, 6), "epithelial")
    store.add(1, (5, 7), "inflammatory", reading=1)
    store.add_image((10, 10), name="without labels", mpp=0.5)
    field = store.add_field(1, Region(0, 0, 50, 60))
    store.describe_image(1, patient="P7", split="validation")
    labels = store.label_set(drawn)
    (image,) = labels
    assert image.nuclei.id.tolist() == [*ids[:3], *dots]
    assert set(image.nuclei.origin) == {HUMAN}
    assert image.fields == (field.region,)
    assert (image.patient, image.split, image.mpp) == ("P7", "validation", 0.25)
    assert labels.classes == store.classes
    assert labels.split("validation").nuclei_count == 4


def test_labels_taken_for_training_stay_as_they_were(store: ProjectStore) -> None:
    ids = store.add(1, [(5, 6), (7, 8)], "epithelial")
    labels = store.label_set(drawn)
    store.delete(ids)
    store.edit_class("epithelial", new_name="other")
    assert labels.images[0].nuclei.counts()["epithelial"] == 2


def test_a_project_without_labels_gives_no_label_set(
    store: ProjectStore, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals)
    with pytest.raises(LabelSetError, match="no label yet"):
        store.label_set(drawn)


def test_two_people_answer_one_field_and_are_compared(store: ProjectStore) -> None:
    field = store.add_field(1, Region(0, 0, 100, 100))
    store.add(1, [(10, 10), (20, 20), (300, 300)], "epithelial")
    store.annotator = "Bob"
    store.add(1, [(11, 10), (50, 50)], "epithelial", reading=1)
    first, second = store.readings(field.id)
    assert (first.number, first.annotators, len(first.nuclei)) == (0, ("Ann",), 2)
    assert (second.number, second.annotators, len(second.nuclei)) == (1, ("Bob",), 2)
    found = agreement(first.nuclei, second.nuclei, radius_um=1.5, mpp=0.25)
    assert (found.both, found.f1) == (1, 0.5)
    assert len(store.nuclei(1)) == 3  # second readings are not shown with the first
    assert store.counts()["epithelial"].human == 3


def test_no_pixel_enters_the_file(store: ProjectStore, tmp_path: Path) -> None:
    image = tmp_path / "slide.tif"
    pixels = np.random.default_rng(0).bytes(1 << 17)
    image.write_bytes(pixels)
    store.add_image((200, 200), path=image)
    store.close()
    stored = store.path.read_bytes()
    assert not any(pixels[k : k + 16] in stored for k in range(0, len(pixels), 4096))


def test_a_loop_holds_what_lies_inside_it_and_no_answer_of_another_reading(
    store: ProjectStore, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals)
    dots = store.add(1, [(120, 120), (1990, 2990)])
    store.reject(store.proposals(1)[:1])
    store.add(1, (130, 130), reading=1)
    loop = [(90, 90), (90, 520), (320, 520), (320, 290), (250, 290), (250, 90)]
    expected = [2, 3, 12, 13, int(dots[0])]  # at columns 300, 500; 300, 500 of the next row; a dot
    assert store.within(1, loop).tolist() == expected
    assert len(store.within(1, loop, reading=1)) == 1
    everything = [(-50, -50), (-50, 4000), (3000, 4000), (3000, -50)]
    assert len(store.within(1, everything)) == 39 + 2
    with pytest.raises(RegionError, match="does not overlap"):
        store.within(1, [(5000, 5000), (5000, 6000), (6000, 6000)])
