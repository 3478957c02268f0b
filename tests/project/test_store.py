"""Edits of nuclei: what each does, what it calls itself, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress

import numpy as np
import pytest

from napari_nucbudget.errors import ConfigError, OutputError, PointsError, ProjectError
from napari_nucbudget.project import ClassCount, ProjectStore, open_project
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import HUMAN, Nuclei
from tests.project.contents import contents

TOP = Region(0, 0, 200, 3000)
"""Holds the first ten of the proposals."""


def test_a_dot_is_human_and_keeps_its_place_and_class(store: ProjectStore) -> None:
    (id,) = store.add(1, (12.5, 30), "inflammatory")
    found = store.nuclei(1)
    assert found.id.tolist() == [id]
    assert found.yx.tolist() == [[12.5, 30.0]]
    assert found.origin.tolist() == [HUMAN]
    assert found.counts() == {"epithelial": 0, "inflammatory": 1, "miscellaneous": 0}
    assert found.prob is None
    assert store.undo_label == "add 1 nucleus"


def test_proposals_keep_score_class_probabilities_and_model(
    store: ProjectStore, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals)
    found = store.nuclei(1)
    for column in ("yx", "score", "label", "prob", "origin"):
        np.testing.assert_array_equal(getattr(found, column), getattr(proposals, column))


def test_everything_is_there_after_closing_and_opening(
    store: ProjectStore, proposals: Nuclei, opened: Callable[..., ProjectStore]
) -> None:
    ids = store.add_proposals(1, proposals)
    store.accept(ids[:5])
    store.reject(ids[5:8])
    store.add(1, [(1, 2), (3, 4)], "epithelial")
    store.add(1, (1.5, 2), "epithelial", reading=1)
    store.add_field(1, Region(0, 0, 50, 50))
    store.add_class(NucleusClass("mitosis", "#ffffff", "R"))
    before = contents(store)
    store.close()
    assert contents(opened()) == before


def test_several_images_keep_their_nuclei_apart(store: ProjectStore) -> None:
    other = store.add_image((100, 100), name="other")
    (a,) = store.add(1, (1, 1))
    (b,) = store.add(other, (2, 2))
    assert store.relabel([b, a], "epithelial") == 2
    assert store.nuclei(1).id.tolist() == [a]
    assert store.nuclei(other).id.tolist() == [b]
    assert store.undo() == "relabel 2 nuclei"
    assert store.counts()["unlabelled"] == ClassCount(0, 2)


@pytest.mark.parametrize("edit", ["accept", "relabel", "move"])
def test_a_proposal_that_is_corrected_becomes_human(
    store: ProjectStore, proposals: Nuclei, edit: str
) -> None:
    ids = store.add_proposals(1, proposals)
    if edit == "accept":
        store.accept(ids[3])
    elif edit == "relabel":
        store.relabel(ids[3], "epithelial")
    else:
        store.move(ids[3], (5, 6))
    assert store.nuclei(1, which="human").id.tolist() == [ids[3]]
    facts = store.facts(int(ids[3]))
    assert (facts.status, facts.found_by, facts.annotator) == ("human", "colon-fcn", "Ann")


def test_moving_puts_each_nucleus_where_it_was_told(store: ProjectStore) -> None:
    a, b = store.add(1, [(1, 1), (2, 2)])
    store.move([b, a], [(20, 21), (10, 11)])
    assert store.nuclei(1).yx.tolist() == [[10, 11], [20, 21]]


def test_a_deleted_dot_is_gone_and_a_deleted_proposal_rejected(
    store: ProjectStore, proposals: Nuclei
) -> None:
    ids = store.add_proposals(1, proposals)
    (dot,) = store.add(1, (1, 1))
    assert store.delete([ids[0], dot]) == 2
    assert store.nuclei(1, which="rejected").id.tolist() == [ids[0]]
    with pytest.raises(PointsError, match="1 of 1 nuclei are not in the project"):
        store.facts(int(dot))


def test_all_proposals_above_a_score_in_a_region_are_accepted(
    store: ProjectStore, proposals: Nuclei
) -> None:
    ids = store.add_proposals(1, proposals)
    assert store.accept_all(1, TOP, min_score=0.1, class_name="epithelial") == 2  # 6 and 9
    assert store.nuclei(1, which="human").id.tolist() == [ids[6], ids[9]]
    assert store.undo_label == "accept 2 proposals"
    assert store.reject_all(1) == 38
    assert store.accept_all(1) == 0
    assert store.undo_label == "reject 38 proposals"


def test_a_detector_run_replaces_the_unanswered_proposals_of_its_region(
    store: ProjectStore, proposals: Nuclei
) -> None:
    ids = store.add_proposals(1, proposals)
    store.accept(ids[0])
    store.reject(ids[1])
    again = Nuclei.from_points([(100, 101), (100, 302), (150, 600)], score=0.5, origin="nuclei-fcn")
    new = store.add_proposals(1, again, region=TOP, apart_px=5)
    # The first two lie on answered nuclei.
    assert store.proposals(1, TOP).tolist() == new.tolist()
    assert len(new) == 1
    assert len(store.proposals(1)) == 30 + 1
    assert store.nuclei(1, which="human").id.tolist() == [ids[0]]
    store.undo()
    assert store.proposals(1).tolist() == ids[2:].tolist()


def test_a_run_that_finds_nothing_still_takes_the_old_proposals_away(
    store: ProjectStore, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals)
    assert len(store.add_proposals(1, Nuclei.empty())) == 0
    assert len(store.nuclei(1)) == 0


def test_pasted_nuclei_are_human_and_have_new_ids(store: ProjectStore, proposals: Nuclei) -> None:
    ids = store.add_proposals(1, proposals)
    pasted = store.paste(1, store.nuclei(1).select(np.arange(3)).shifted(5, 5))
    assert not set(pasted) & set(ids)
    assert store.nuclei(1, which="human").id.tolist() == pasted.tolist()
    assert store.undo_label == "paste 3 nuclei"


def test_imported_nuclei_are_human_or_proposed_as_their_origin_says(store: ProjectStore) -> None:
    table = Nuclei.from_points([(1, 1), (2, 2)], origin=[HUMAN, "elsewhere"])
    a, b = store.insert(1, table)
    assert store.nuclei(1, which="human").id.tolist() == [a]
    assert store.nuclei(1, which="proposed").id.tolist() == [b]


def test_a_classifier_types_proposals_but_not_what_was_answered_meanwhile(
    store: ProjectStore,
) -> None:
    ids = store.add_proposals(1, Nuclei.from_points([(1, 1), (2, 2), (3, 3)], origin="m"))
    store.relabel(ids[1], "epithelial")
    prob = np.array([[0.1, 0.8, 0.1]] * 3)
    typed = Nuclei.from_points([(1, 1), (2, 2), (3, 3)], label=1, prob=prob, id=ids[::-1])
    assert store.retype(1, typed) == 2
    assert store.nuclei(1).label.tolist() == [1, 0, 1]
    store.undo()
    assert store.nuclei(1).label.tolist() == [-1, 0, -1]
    assert store.nuclei(1).prob is None


def test_an_edit_that_changes_nothing_is_no_step(store: ProjectStore) -> None:
    ids = store.add(1, (1, 1), "epithelial")
    assert store.relabel(ids, "epithelial") == 0
    assert store.accept(ids) == 0
    assert store.delete([]) == 0
    assert store.undo_label == "add 1 nucleus"


def test_a_group_is_one_step(store: ProjectStore, opened: Callable[..., ProjectStore]) -> None:
    with store.group("tidy up"):
        ids = store.add(1, [(1, 1), (2, 2)])
        store.relabel(ids, "epithelial")
        with pytest.raises(ProjectError, match="within a group"):
            store.undo()
        store.delete(ids[0])
    store.close()
    store = opened()
    assert store.undo() == "tidy up"
    assert len(store.nuclei(1)) == 0
    assert store.redo() == "tidy up"
    assert store.nuclei(1).id.tolist() == [ids[1]]
    assert store.counts()["epithelial"] == ClassCount(0, 1)


@pytest.mark.parametrize("swallowed", [False, True])
def test_a_group_in_which_an_edit_fails_leaves_memory_and_disk_as_before(
    store: ProjectStore, proposals: Nuclei, swallowed: bool
) -> None:
    store.add_proposals(1, proposals)
    store.add(1, (1, 1), "epithelial")
    store.undo()
    before, seen = contents(store), store.revision
    store.annotator = "Bob"
    ((pages,),) = store.select("PRAGMA page_count")

    def many_things() -> None:
        with store.group("many things"):
            store.add_class(NucleusClass("new", "#ffffff"))
            store.relabel(store.proposals(1)[:5], "new")
            store.add_image((10, 10), name="second")
            store.add_field(1, Region(0, 0, 50, 50))
            store.select(f"PRAGMA max_page_count = {pages}")
            with suppress(OutputError) if swallowed else nullcontext():
                store.add(1, np.ones((20_000, 2)))

    with pytest.raises(OutputError, match="the disk is full"):
        many_things()
    store.select("PRAGMA max_page_count = 1073741823")
    assert contents(store) == before
    assert store.changes_since(seen) is None
    with open_project(store.path, read_only=True) as disk:
        assert contents(disk) == before
    assert store.redo() == "add 1 nucleus"
    (id,) = store.add(1, (5, 5))
    assert store.facts(int(id)).annotator == "Bob"
    with open_project(store.path, read_only=True) as disk:
        assert contents(disk) == contents(store)


def test_a_new_edit_ends_what_could_be_redone(store: ProjectStore) -> None:
    store.add(1, (1, 1))
    store.undo()
    assert store.redo_label == "add 1 nucleus"
    store.add(1, (2, 2))
    assert store.redo_label is None
    assert store.redo() is None


@pytest.mark.parametrize("yx", [(-1, 5), (5, 3000), (float("nan"), 1)])
def test_points_outside_the_image_are_refused(store: ProjectStore, yx: tuple[float, float]) -> None:
    (id,) = store.add(1, (1, 1))
    before = contents(store)
    with pytest.raises(PointsError, match=r"outside the image|not numbers"):
        store.add(1, yx)
    with pytest.raises(PointsError, match="1 of 1 points lie outside the image 'slide'"):
        store.move(id, yx)
    assert contents(store) == before


def test_what_does_not_fit_is_refused_and_changes_nothing(
    store: ProjectStore, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals)
    before = contents(store)
    other = ClassScheme((NucleusClass("stroma", "#ffffff"),))
    with pytest.raises(ConfigError, match="no class named 'stroma'"):
        store.insert(1, Nuclei.from_points([(1, 1)], label=0, classes=other))
    with pytest.raises(ConfigError, match="no class named 'epitelial'"):
        store.add(1, (1, 1), "epitelial")
    with pytest.raises(ProjectError, match="no image 7; it has: 1 \\(slide\\)"):
        store.add(7, (1, 1))
    with pytest.raises(PointsError, match="1 of 2 nuclei are not in the project"):
        store.delete([1, 999])
    with pytest.raises(PointsError, match="name of their model"):
        store.add_proposals(1, Nuclei.from_points([(1, 1)]))
    with pytest.raises(PointsError, match="1 proposals lie outside the region"):
        store.add_proposals(1, proposals.select(np.array([39])), region=TOP)
    with pytest.raises(PointsError, match="each id once"):
        store.move([1, 1], [(1, 1), (2, 2)])
    assert contents(store) == before


def test_two_threads_that_edit_lose_nothing(store: ProjectStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda k: int(store.add(1, (k, k))[0]), range(40)))
    found = store.nuclei(1)
    assert sorted(found.id.tolist()) == sorted(ids)
    assert sorted(found.yx[:, 0].tolist()) == list(range(40))
