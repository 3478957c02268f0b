"""Opening projects: other files, damage, versions, backups, other processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from napari_nucbudget.errors import ProjectError, ProjectLockedError
from napari_nucbudget.project import (
    ProjectStore,
    backups,
    open_project,
    restore,
    schema,
)
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import Nuclei
from tests.project.contents import contents

Opened = Callable[..., ProjectStore]

HOLDER = """
import sys
from napari_nucbudget.project import open_project
store = open_project(sys.argv[1], annotator="Bob")
print("open", flush=True)
for line in sys.stdin:
    store.add(1, (5, 5))
    print("added", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.nucbudget"


def say(child: subprocess.Popen[str], line: str = "") -> str:
    """Send a line, and wait for the answer."""
    assert child.stdin is not None
    assert child.stdout is not None
    if line:
        child.stdin.write(line + "\n")
        child.stdin.flush()
    return child.stdout.readline().strip()


def test_a_new_project_has_the_classes_it_was_given(opened: Opened) -> None:
    scheme = ClassScheme((NucleusClass('a, "b"\nc', "#123456", "K"), NucleusClass("ø", "#ffffff")))
    store = opened(classes=scheme)
    store.add_image((100, 100), name="slide")
    store.add(1, (1, 1), 'a, "b"\nc')
    store.close()
    again = opened()
    assert again.classes == scheme
    assert again.nuclei(1).counts() == {'a, "b"\nc': 1, "ø": 0}
    assert again.notices == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.nucbudget", "There is no project"),
        ("study.sqlite", "does not end in .nucbudget"),
        ("folder.nucbudget", "is a folder"),
        ("nowhere/study.nucbudget", "is absent"),
    ],
)
def test_a_path_that_can_be_no_project_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.nucbudget").mkdir()
    with pytest.raises(ProjectError, match=words):
        open_project(tmp_path / name, create=False)


def test_a_file_of_another_kind_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"id,y,x\n1,2,3\n" * 100)
    with pytest.raises(ProjectError, match="damaged or not a nucbudget project"):
        open_project(path)
    assert path.read_bytes() == b"id,y,x\n1,2,3\n" * 100


def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE mine (a)")
        other.commit()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(ProjectError, match="database of another program"):
            open_project(path, read_only=read_only)
    assert path.read_bytes() == before


def test_a_newer_version_is_refused_and_left_as_it_is(path: Path, store: ProjectStore) -> None:
    store.close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
        newer.execute("PRAGMA journal_mode = DELETE")
    before = path.read_bytes()
    with pytest.raises(ProjectError, match=r"newer napari-nucbudget \(project version 99"):
        open_project(path)
    assert path.read_bytes() == before
    assert backups(path) == []


def test_an_older_version_is_backed_up_and_then_migrated(
    path: Path, store: ProjectStore, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(1, (1, 2))
    before = contents(store)
    store.close()

    def step(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE images ADD COLUMN scanner TEXT")
        connection.execute("CREATE TABLE remarks (edit INTEGER)")

    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", {schema.VERSION - 1: step})
    with pytest.raises(ProjectError, match="Open it once to write"):
        open_project(path, read_only=True)
    migrated = opened()
    assert migrated.select("PRAGMA user_version") == [(schema.VERSION,)]
    assert migrated.select("SELECT * FROM remarks") == []
    assert contents(migrated) == before
    _, backup = backups(path)  # the newer one is of the new version
    with closing(sqlite3.connect(backup)) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (schema.VERSION - 1,)


def test_a_migration_that_fails_leaves_the_old_version(
    path: Path, store: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()

    def step(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE remarks (edit INTEGER)")
        connection.execute("no such statement")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", schema.VERSION + 1)
        patch.setattr(schema, "MIGRATIONS", {schema.VERSION - 1: step})
        with pytest.raises(ProjectError):
            open_project(path)
    with open_project(path) as again:
        assert again.select("SELECT name FROM sqlite_master WHERE name = 'remarks'") == []
        assert len(again.images) == 1


def test_damage_is_told_with_the_backup_that_can_take_its_place(
    path: Path, store: ProjectStore, opened: Opened, proposals: Nuclei
) -> None:
    store.add_proposals(1, proposals)
    store.close()
    opened().close()
    (backup,) = backups(path)
    data = bytearray(path.read_bytes())
    place = data.find(proposals.yx[5:20].tobytes())
    assert place > 0
    data[place] ^= 0xFF  # one bit pattern in a coordinate, which SQLite itself does not notice
    path.write_bytes(data)
    with pytest.raises(ProjectError, match="Page 0 of the nuclei of 'slide'"):
        open_project(path)
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(ProjectError, match=f"newest backup is {backup}"):
        open_project(path)
    aside = restore(backup, path)
    assert aside.read_bytes() == data[: len(data) // 3]
    assert len(opened().nuclei(1)) == 40


def test_an_emptied_project_is_not_started_anew(
    path: Path, store: ProjectStore, opened: Opened
) -> None:
    store.close()
    opened().close()
    path.write_bytes(b"")
    with pytest.raises(ProjectError, match=r"it is empty.*newest backup"):
        open_project(path)


def test_a_damaged_backup_is_not_put_in_place(path: Path, store: ProjectStore) -> None:
    store.close()
    whole, bad = path.read_bytes(), path.with_name("bad.nucbudget")
    bad.write_bytes(whole[:100] + b"\0" * 5000)
    with pytest.raises(ProjectError, match="is damaged"):
        restore(bad, path)
    assert path.read_bytes() == whole


def test_the_last_five_states_are_kept_and_equal_ones_once(
    path: Path, store: ProjectStore, opened: Opened
) -> None:
    for k in range(7):
        store.add(1, (k, k))
        store.close()
        store = opened()
    kept = backups(path)
    assert len(kept) == 5
    counts = []
    for backup in kept:
        with open_project(backup, read_only=True) as old:
            counts.append(len(old.nuclei(1)))
    assert counts == [7, 6, 5, 4, 3]
    store.close()
    for _ in range(7):  # starting without editing does not push them out
        opened().close()
    assert backups(path) == kept


def test_a_session_that_was_cut_off_is_told_and_complete(
    path: Path, store: ProjectStore, opened: Opened
) -> None:
    store.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        say(child)
        assert say(child, "add") == "added"
        child.kill()
    again = opened()
    assert again.notices == ("The last session was cut off; every edit that it had made is here.",)
    assert len(again.nuclei(1)) == 1
    assert again.facts(1).annotator == "Bob"


def test_a_second_process_may_only_read_and_sees_what_the_first_writes(
    path: Path, store: ProjectStore
) -> None:
    store.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert say(child) == "open"
        with pytest.raises(ProjectLockedError, match=rf"open elsewhere \(process {child.pid} of"):
            open_project(path)
        with open_project(path, read_only=True) as reader:
            assert reader.read_only
            assert "to read only" in reader.notices[0]
            assert not reader.refresh()
            say(child, "add")
            assert len(reader.nuclei(1)) == 0
            assert reader.refresh()
            assert len(reader.nuclei(1)) == 1
            assert reader.changes_since(0) is None
            with pytest.raises(ProjectLockedError, match="nothing was changed"):
                reader.add(1, (1, 1))
        child.kill()
    with open_project(path) as writer:
        assert len(writer.nuclei(1)) == 1


def test_the_lock_ends_with_close_and_not_before(path: Path, store: ProjectStore) -> None:
    with pytest.raises(ProjectLockedError):
        open_project(path)
    with open_project(path, read_only=True):
        pass
    with pytest.raises(ProjectLockedError):  # reading beside it did not drop the lock
        open_project(path)
    store.close()
    with pytest.raises(ProjectError, match="is closed"):
        store.add(1, (1, 1))
    open_project(path).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_keep_the_lock(path: Path, store: ProjectStore) -> None:
    ends, starts = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(starts)
        os.read(ends, 1)  # lives until the parent is done
        os._exit(0)
    os.close(ends)
    try:
        store.close()
        open_project(path).close()
    finally:
        os.close(starts)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_has_not_begun_to_run_does_not_keep_the_lock(
    path: Path, store: ProjectStore
) -> None:
    """Its hooks come late on a busy machine: here they never do."""
    file = os.dup(store._lock._file)  # type: ignore[union-attr]
    try:
        store.close()
        open_project(path).close()
    finally:
        os.close(file)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_ends_leaves_the_lock_to_its_parent(path: Path, store: ProjectStore) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(ProjectLockedError):
        open_project(path)


def test_a_project_may_have_any_name_that_a_file_can_have(tmp_path: Path) -> None:
    path = tmp_path / "a [1] #50%? *.part & 'b'.nucbudget"
    for k in range(3):
        with open_project(path) as store:
            image = store.add_image((10, 10), name="a")
            store.add(image, (k, k))
    with open_project(path, read_only=True) as store:
        assert len(store.nuclei(1)) == 3
    assert len(backups(path)) == 2


def test_what_a_killed_backup_left_is_cleared_away(
    path: Path, store: ProjectStore, opened: Opened
) -> None:
    folder = path.with_name("study.nucbudget-backups")
    folder.mkdir()
    (folder / "study-20200101-000000-000.part").write_bytes(b"half")
    store.close()
    opened()
    assert list(folder.iterdir()) == backups(path)
