"""A full disk: the edit is refused, memory and disk stay equal, and work goes on after it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.errors import OutputError
from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.classes import NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from tests.project.contents import contents


def relabel_and_add(store: ProjectStore) -> None:
    with store.group("two things"):
        store.relabel(store.nuclei(1).id[:1], "epithelial")
        store.add(1, [(k, k) for k in range(500)])


EDITS: dict[str, Callable[[ProjectStore], object]] = {
    "add": lambda s: s.add(1, [(k, k) for k in range(500)]),
    "move": lambda s: s.move(s.nuclei(1).id, s.nuclei(1).yx[::-1]),
    "delete": lambda s: s.delete(s.nuclei(1).id),
    "relabel": lambda s: s.relabel(s.nuclei(1).id, "epithelial"),
    "accept all": lambda s: s.accept_all(1),
    "reject all": lambda s: s.reject_all(1),
    "propose": lambda s: s.add_proposals(1, Nuclei.from_points([(1, 1)], origin="fcn")),
    "paste": lambda s: s.paste(1, s.nuclei(1)),
    "add field": lambda s: s.add_field(1, Region(0, 0, 9, 9)),
    "remove field": lambda s: s.remove_field(1),
    "add class": lambda s: s.add_class(NucleusClass("new", "#ffffff")),
    "remove class": lambda s: s.remove_class("inflammatory", into=""),
    "undo": lambda s: s.undo(),
    "redo": lambda s: s.redo(),
    "new annotator": lambda s: (setattr(s, "annotator", "B" * 5000), s.add(1, (1, 1))),
    "group": relabel_and_add,
    "add image": lambda s: s.add_image((10, 10), name="n" * 5000),
}


def no_room(store: ProjectStore) -> None:
    """Forbid the file to grow, and use up what is free in it."""
    ((pages,),) = store.select("PRAGMA page_count")
    store.select(f"PRAGMA max_page_count = {pages}")
    count = 256
    while count:
        try:
            store.add(1, np.ones((count, 2)))
        except OutputError:
            count //= 2
    store.undo()
    store.undo()


@pytest.mark.parametrize("edit", list(EDITS))
def test_memory_equals_disk_whatever_edit_finds_no_room(
    store: ProjectStore, proposals: Nuclei, edit: str
) -> None:
    store.add_field(1, Region(1000, 1000, 99, 99))
    store.add_proposals(1, proposals)
    store.relabel(store.nuclei(1).id[:10], "inflammatory")
    no_room(store)
    before = contents(store)
    try:
        EDITS[edit](store)
    except OutputError as error:
        assert "the disk is full. Nothing was changed" in str(error)  # noqa: PT017
        assert contents(store) == before
    with open_project(store.path, read_only=True) as disk:
        assert contents(disk) == contents(store)
    store.annotator = "Ann"
    store.select("PRAGMA max_page_count = 1073741823")
    (id,) = store.add(1, (77, 78))
    with open_project(store.path, read_only=True) as disk:
        assert contents(disk) == contents(store)
        assert id in disk.nuclei(1, Region(70, 70, 20, 20)).id


def test_a_large_edit_that_finds_no_room_is_refused(store: ProjectStore) -> None:
    store.add(1, (5, 5))
    ((pages,),) = store.select("PRAGMA page_count")
    store.select(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutputError, match=r"the disk is full\. Nothing was changed"):
        store.add(1, np.ones((20_000, 2)))
    assert len(store.nuclei(1)) == 1
    assert store.undo_label == "add 1 nucleus"


LIMITED = """
import resource, signal, sys
import numpy as np
from napari_nucbudget.errors import OutputError
from napari_nucbudget.project import open_project

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_project(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    while True:
        store.add(1, np.full((50, 2), 7.0))
except OutputError as error:
    print(error)
    print(len(store.nuclei(1)), store.undo_label)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_what_the_system_refuses_to_write_is_refused_here(
    store: ProjectStore, opened: Callable[..., ProjectStore], tmp_path: Path
) -> None:
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, store.path], capture_output=True, text=True, check=True
    )
    message, facts = done.stdout.splitlines()
    assert "could not be written" in message
    count, label = facts.split(" ", 1)
    assert int(count) >= 50
    again = opened()
    assert len(again.nuclei(1)) == int(count)
    assert again.undo_label == label
