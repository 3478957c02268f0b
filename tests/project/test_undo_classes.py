"""Classes that are undone and done again keep what models said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.classes import NucleusClass
from napari_nucbudget.types.nuclei import Nuclei


@pytest.fixture
def typed(tmp_path: Path) -> ProjectStore:
    """A project with an image of two proposals."""
    store = open_project(tmp_path / "p.nucbudget", annotator="Ann")
    store.add_image((300, 400), name="first")
    store.add_proposals(1, Nuclei.from_points([(10, 10), (20, 20)], origin="fcn"))
    return store


def types(store: ProjectStore, *prob: list[float]) -> None:
    ids = store.nuclei(1).id
    table = Nuclei.from_points(
        np.zeros((2, 2)),
        id=ids,
        label=np.argmax(prob, axis=1),
        prob=np.array(prob),
        classes=store.classes,
    )
    store.retype(1, table)


def steps(store: ProjectStore, count: int) -> None:
    for _ in range(count):
        assert store.undo() is not None
    for _ in range(count):
        assert store.redo() is not None


@pytest.mark.parametrize("restart", [False, True])
def test_probabilities_of_an_added_class_come_back_with_it(
    typed: ProjectStore, restart: bool
) -> None:
    store = typed
    for name in ("stroma", "tumour"):
        store.add_class(NucleusClass(name, "#00ff00", "T"))
    given = [[0.125, 0.125, 0, 0, 0.75]]
    new = Nuclei.from_points([(50, 50)], origin="fcn", prob=given, classes=store.classes)
    store.add_proposals(1, new)
    before = store.nuclei(1).prob
    for _ in range(3):
        store.undo()
    if restart:
        path = store.path
        store.close()
        store = open_project(path, annotator="Ann")
        assert store.counts()["unlabelled"].proposed == 2
    for _ in range(3):
        store.redo()
    np.testing.assert_array_equal(store.nuclei(1).prob, before)
    store.close()


def test_what_was_typed_after_a_class_was_undone_is_redone(typed: ProjectStore) -> None:
    store = typed
    for name in ("a", "b"):
        store.add_class(NucleusClass(name, "#00ff00", "T"))
    store.undo()
    types(store, [0.75, 0, 0, 0.25], [0.25, 0.5, 0.25, 0])
    before = store.nuclei(1).prob
    steps(store, 2)
    np.testing.assert_array_equal(store.nuclei(1).prob, before)
    assert store.counts()["unlabelled"].proposed == 0
    store.add_class(NucleusClass("c", "#00ff00", "T"))  # takes the place of b
    assert store.nuclei(1).prob[:, 4].tolist() == [0, 0]
    store.close()


def test_what_was_never_typed_stays_so_after_a_class_was_added_and_undone(
    typed: ProjectStore,
) -> None:
    store = typed
    types(store, [0.5, 0.25, 0.25], [0.25, 0.5, 0.25])
    store.add_class(NucleusClass("a", "#00ff00", "T"))
    store.undo()
    store.undo()
    store.add_class(NucleusClass("a", "#00ff00", "T"))
    assert store.nuclei(1).prob is None
    store.close()
