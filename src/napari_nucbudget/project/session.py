"""An open project file: its lock, its connection, and what one transaction is."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import OutputError, ProjectError, ProjectLockedError
from napari_nucbudget.project.journal import Change, ClassesChange, History, Kind, RowsChange
from napari_nucbudget.project.lock import WriteLock
from napari_nucbudget.project.recovery import backups
from napari_nucbudget.project.state import ProjectState

__all__ = ["Note", "ProjectSession", "damaged", "write_error"]

NOTES_KEPT = 1000


@dataclass(frozen=True, eq=False)
class Note:
    """What one committed edit touched, for those who show the project.

    Attributes
    ----------
    revision : int
        `ProjectSession.revision` right after the edit.
    label : str
        Such as ``relabel 12 nuclei``.
    nuclei : mapping of image id to (K,) int64
        Ids that were added, changed or taken away.
    fields, classes, images : bool
        Whether a field, the class scheme or the list of images changed.
    """

    revision: int
    label: str
    nuclei: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)
    fields: bool = False
    classes: bool = False
    images: bool = False


class ProjectSession:
    """A project file that is open; made by `open_project`, ended by `close`.

    Attributes
    ----------
    path : Path
        The file in use; differs from the one asked for where `notices` says so.
    read_only : bool
    notices : tuple of str
        Sentences that the user should see once: another place, a session that was cut off,
        no room for a backup.
    left_copy : Path or None
        Where the project went on while its folder could not be written; `bring_back` puts that
        in its place.
    revision : int
        Grows by one with every change; starts at 0 when the project is opened.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        state: ProjectState,
        *,
        lock: WriteLock | None,
        annotator: str,
        notices: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.read_only = lock is None
        self.notices = tuple(notices)
        self.left_copy: Path | None = None
        self.revision = 0
        self.annotator = annotator
        self._connection: sqlite3.Connection | None = connection
        self._lock = lock
        self._state = state
        self._guard = threading.RLock()
        self._notes: deque[Note] = deque(maxlen=NOTES_KEPT)
        self._group: tuple[int, str] | None = None
        self._group_failed: BaseException | None = None
        self._last_edit = 0
        self._history = self._read_history()
        self._version = connection.execute("PRAGMA data_version").fetchone()
        self._session: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_session(self) -> None:
        """Note who works from now on; that it ended is noted by `close`."""
        key = self._annotator_key()
        with self.transaction(counted=False) as connection:
            row = connection.execute(
                "INSERT INTO sessions (annotator, started) VALUES (?, ?)", (key, time.time())
            )
            self._session = row.lastrowid

    def close(self) -> None:
        """End the session; nothing is pending, since every edit is already on disk."""
        with self._guard:
            if self._connection is None:
                return
            try:
                if self._session is not None:
                    self._connection.execute(
                        "UPDATE sessions SET ended = ? WHERE id = ?", (time.time(), self._session)
                    )
            except sqlite3.Error:
                pass  # a full disk: the next start will say that the session was cut off
            finally:
                self._connection.close()
                self._connection = None
                if self._lock is not None:
                    self._lock.release()

    def changes_since(self, revision: int) -> list[Note] | None:
        """What happened after `revision`, oldest first; None where that is too long ago.

        After None, everything that is shown has to be read anew.
        """
        with self._guard:
            notes = [note for note in self._notes if note.revision > revision]
            return notes if len(notes) == self.revision - revision else None

    def refresh(self) -> bool:
        """Read the file anew if another process wrote to it; for projects open to read only."""
        with self._guard:
            connection = self._open_connection()
            version = connection.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return False
            self._version = version
            self._read_anew(connection)
            return True

    @property
    def annotators(self) -> tuple[str, ...]:
        """Everybody who has worked on the project."""
        return tuple(self._state.annotators)

    def select(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of an SQL query."""
        with self._guard:
            return self._open_connection().execute(query, values).fetchall()

    @contextmanager
    def group(self, label: str) -> Iterator[None]:
        """Edits inside are one step of undo and one transaction: all of them, or none.

        They are on disk when the group ends. Where one of them fails, or anything else is
        raised inside, the project is as it was before the group.

        Raises
        ------
        ProjectLockedError, OutputError
            As `transaction`.
        """
        with self._guard:
            if self._group is not None:
                yield
                return
            connection = self._begin()
            before = connection.total_changes
            self._group = (self._last_edit + 1, label)
            try:
                yield
                if self._group_failed is not None:
                    raise self._group_failed
                connection.execute("COMMIT")
            except BaseException as error:
                changed = connection.total_changes != before
                self._roll_back(connection)
                if changed:
                    self._read_anew(connection)
                if isinstance(error, sqlite3.Error):
                    raise write_error(self.path, error) from error
                raise
            finally:
                self._group = self._group_failed = None

    @contextmanager
    def transaction(self, *, counted: bool = True) -> Iterator[sqlite3.Connection]:
        """Everything inside is on disk afterwards, or nothing of it; in a `group`, at its end.

        What is not `counted` is no reason for another backup.

        Raises
        ------
        ProjectLockedError
            Where the project is open to read only.
        OutputError
            Where it cannot be written, such as on a full disk.
        """
        with self._guard:
            inside = self._group is not None
            if self._group_failed is not None:
                raise self._group_failed
            connection = self._open_connection() if inside else self._begin()
            try:
                yield connection
                if counted:
                    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'writes'")
                if not inside:
                    connection.execute("COMMIT")
            except BaseException as error:
                told = error
                if isinstance(error, sqlite3.Error):
                    told = write_error(self.path, error)
                if inside:
                    self._group_failed = told
                else:
                    self._roll_back(connection)
                if told is not error:
                    raise told from error
                raise

    def _begin(self) -> sqlite3.Connection:
        connection = self._open_connection()
        if self.read_only:
            raise ProjectLockedError(
                f"{self.path} is open to read only, so nothing was changed. Close it where "
                "it is open to write, then open it again."
            )
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise write_error(self.path, error) from error
        return connection

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # some errors have ended it already
            connection.execute("ROLLBACK")

    def _read_anew(self, connection: sqlite3.Connection) -> None:
        """Make memory what the disk holds; who watches is told to read everything anew."""
        self._state = ProjectState.load(connection, self.path)
        self._history = self._read_history()
        self._notes.clear()  # so that changes_since answers None
        self.revision += 1

    def _commit(
        self,
        label: str,
        changes: Sequence[Change],
        *,
        kind: Kind = "edit",
        target: int | None = None,
        sizes: Mapping[int, int] | None = None,
    ) -> None:
        """Make `changes` in memory and on disk; if the disk refuses, in neither.

        `sizes` says how many rows the tables had before rows were appended.
        """
        forward = kind != "undo"
        applied: list[Change] = []
        classes = self._state.classes
        try:
            annotator = self._annotator_key()
            with self.transaction() as connection:
                for change in changes:
                    applied.append(change)
                    self._state.apply(change, forward=forward)
                self._state.write(connection)
                edit = self._last_edit + 1
                step, name = self._group or (edit, label)
                connection.execute(
                    "INSERT INTO edits VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (edit, step, kind, target, name, annotator, time.time()),
                )
                if kind == "edit":
                    connection.executemany(
                        "INSERT INTO changes VALUES (?, ?, ?, ?, ?)",
                        (
                            (edit, part, change.kind, change.image, change.payload())
                            for part, change in enumerate(changes)
                        ),
                    )
        except BaseException:
            for change in reversed(applied):
                self._state.apply(change, forward=not forward)
            self._state.set_classes(classes)
            for image, size in (sizes or {}).items():
                self._state.tables[image].truncate(size)
            self._state.written()
            raise
        self._state.written()
        self._last_edit = edit
        self._history.record(kind, step, target, name)
        self._announce(label, changes)

    def _announce(
        self, label: str, changes: Sequence[Change] = (), *, images: bool = False
    ) -> None:
        """Let those who watch know."""
        nuclei: dict[int, list[NDArray[np.int64]]] = {}
        for change in changes:
            if isinstance(change, RowsChange):
                ids = self._state.tables[change.image]["id"][change.rows]
                nuclei.setdefault(change.image, []).append(ids)
        self.revision += 1
        self._notes.append(
            Note(
                revision=self.revision,
                label=label,
                nuclei={image: np.concatenate(ids) for image, ids in nuclei.items()},
                fields=any(change.kind == "field" for change in changes),
                classes=any(isinstance(change, ClassesChange) for change in changes),
                images=images,
            )
        )

    def _annotator_key(self) -> int:
        return self._key_of(self.annotator, self._state.annotators, "annotators")

    def _origin_key(self, name: str) -> int:
        return self._key_of(name, self._state.origins, "origins")

    def _key_of(self, name: str, known: list[str], table: str) -> int:
        """Key of a name, which is stored first where it is new."""
        if name not in known:
            with self.transaction() as connection:
                connection.execute(f"INSERT INTO {table} VALUES (?, ?)", (len(known), name))
            known.append(name)
        return known.index(name)

    def _read_history(self) -> History:
        edits = self._open_connection().execute(
            "SELECT id, step, kind, target, label FROM edits ORDER BY id"
        )
        rows = edits.fetchall()
        self._last_edit = rows[-1][0] if rows else 0
        return History(row[1:] for row in rows)

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ProjectError(f"{self.path} is closed. Open it again.")
        return self._connection


def write_error(path: Path, error: sqlite3.Error) -> OutputError:
    """The error for a user when SQLite could not write."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_FULL:
        why, what = "the disk is full", "Make room, then do it again."
    elif code & 0xFF == sqlite3.SQLITE_BUSY:
        why, what = "another program holds the file", "Close it there, then do it again."
    else:
        why, what = str(error), "Check the disk and its permissions, then do it again."
    return OutputError(
        f"{path} could not be written: {why}. Nothing was changed, here or on disk. {what}"
    )


def damaged(path: Path, error: Exception) -> ProjectError:
    """The error for a user when a project cannot be read."""
    older = backups(path)
    advice = (
        f"Its newest backup is {older[0]}: open that, or put it in place with "
        "napari_nucbudget.project.restore."
        if older
        else "There is no backup beside it; copy it again from where it came."
    )
    return ProjectError(f"{path} is damaged or not a nucbudget project ({error}). {advice}")


def cannot_be_written(error: OSError) -> bool:
    """Whether the folder forbids writing, as against being full or failing."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) or (
        os.name == "nt" and isinstance(error, PermissionError)
    )
