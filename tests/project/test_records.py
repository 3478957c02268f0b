"""Training runs, models, time spent; and what those who watch a project are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from napari_nucbudget.errors import ProjectError
from napari_nucbudget.project import ProjectStore, Records, Spent, session
from napari_nucbudget.types.image import Region


def test_a_training_run_is_kept_with_its_settings_and_result(
    store: ProjectStore, opened: Callable[..., ProjectStore]
) -> None:
    first = Records(store).start_run("runs/a", {"method": "gamma-ladder", "steps": 10})
    second = Records(store).start_run("runs/b", {})
    Records(store).end_run(first, "done", {"f1": 0.8})
    with pytest.raises(ProjectError, match="no training run 9"):
        Records(store).end_run(9, "done", {})
    store.close()
    newest, oldest = Records(opened()).runs()
    assert (newest.id, newest.state, newest.ended) == (second, "running", None)
    assert (oldest.state, oldest.config["steps"], oldest.result) == ("done", 10, {"f1": 0.8})


def test_a_model_is_noted_once(store: ProjectStore) -> None:
    for _ in range(2):
        Records(store).use_model("colon-fcn", "detection", weights_sha256="ab")
        Records(store).use_model("colon-fcn", "detection", weights_sha256="cd")
    assert [m.weights_sha256 for m in Records(store).models()] == ["ab", "cd"]


def test_a_model_that_is_applied_again_is_the_one_in_use(
    store: ProjectStore, opened: Callable[..., ProjectStore]
) -> None:
    for name in ("fast", "fcn", "fast"):
        Records(store).use_model(name, "detection")
    store.close()
    assert [m.name for m in Records(opened()).models()] == ["fcn", "fast"]


def test_checks_come_back_newest_first_also_in_a_project_of_the_first_version(
    store: ProjectStore, opened: Callable[..., ProjectStore]
) -> None:
    store.select("DROP TABLE checks")
    store.select("PRAGMA user_version = 1")
    store.close()
    store = opened()
    Records(store).note_check({"f1": 0.5}, detector="colon-fcn")
    Records(store).note_check(
        {"f1": 0.75, "fields": 2},
        detector="colon-fcn",
        detector_sha256="ab",
        classifier="typing",
        classifier_sha256="cd",
    )
    store.close()
    newest, oldest = Records(opened()).checks()
    assert (newest.detector_sha256, newest.classifier, newest.classifier_sha256) == (
        "ab",
        "typing",
        "cd",
    )
    assert newest.figures == {"f1": 0.75, "fields": 2}
    assert (oldest.detector_sha256, oldest.classifier) == (None, "")


def test_time_and_labels_are_counted_for_each_annotator(store: ProjectStore) -> None:
    ids = store.add(1, [(1, 1), (2, 2), (3, 3)])
    Records(store).log_time(60, image=1)
    Records(store).log_time(30)
    store.annotator = "Bob"
    store.relabel(ids[0], "epithelial")
    assert Records(store).spent() == [Spent("Ann", 90.0, 2), Spent("Bob", 0.0, 1)]


def test_those_who_watch_learn_which_nuclei_changed(store: ProjectStore) -> None:
    seen = store.revision
    assert store.changes_since(seen) == []
    ids = store.add(1, [(1, 1), (2, 2)])
    store.move(ids[1], (3, 3))
    store.undo()
    store.add_field(1, Region(0, 0, 9, 9))
    store.edit_class("epithelial", color="#ffffff")
    added, moved, undone, field, classes = store.changes_since(seen) or []
    assert added.nuclei[1].tolist() == ids.tolist()
    assert moved.nuclei[1].tolist() == undone.nuclei[1].tolist() == [ids[1]]
    assert (field.fields, field.classes, field.nuclei) == (True, False, {})
    assert (classes.fields, classes.classes) == (False, True)
    assert [n.label for n in (added, moved)] == ["add 2 nuclei", "move 1 nucleus"]
    assert store.changes_since(moved.revision) == [undone, field, classes]


def test_a_refused_edit_is_no_news(store: ProjectStore) -> None:
    seen = store.revision
    with pytest.raises(ProjectError):
        store.remove_field(3)
    assert store.revision == seen


def test_who_has_not_looked_for_long_reads_everything_anew(
    opened: Callable[..., ProjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "NOTES_KEPT", 20)
    store = opened()
    store.add_image((50, 50), name="slide")
    (id,) = store.add(1, (0, 0))
    seen = store.revision
    for k in range(20):
        store.move(id, (k + 1, 0))
    assert store.changes_since(seen) is not None
    store.undo()
    assert store.changes_since(seen) is None
