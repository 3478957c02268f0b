"""Opening a project file: new, old, left by a killed process, damaged, or not writable."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from napari_nucbudget.errors import OutputError, ProjectError
from napari_nucbudget.project import schema
from napari_nucbudget.project.journal import ClassRow
from napari_nucbudget.project.lock import WriteLock, user_name
from napari_nucbudget.project.recovery import (
    back_up,
    backups,
    bring_back,
    own_copy,
    writable_copy,
)
from napari_nucbudget.project.session import cannot_be_written, damaged, write_error
from napari_nucbudget.project.state import ProjectState, write_classes
from napari_nucbudget.project.store import ProjectStore
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme
from napari_nucbudget.types.nuclei import HUMAN

__all__ = ["SUFFIX", "open_project"]

SUFFIX = ".nucbudget"


def open_project(
    path: Path | str,
    *,
    annotator: str | None = None,
    classes: ClassScheme = DEFAULT_CLASSES,
    read_only: bool = False,
    create: bool = True,
) -> ProjectStore:
    """Open a project, or start one where there is none.

    Where the folder cannot be written, a copy in the user's data folder is opened instead;
    the store's `path` and `notices` say so. An existing project is backed up first, and then
    brought to the present schema where it is older.

    Parameters
    ----------
    path : path
        Ends in ``.nucbudget``.
    annotator : str, optional
        Whose edits these are; default the login name.
    classes : ClassScheme
        Of a new project; an existing one has its own.
    read_only : bool
        Beside a process that writes to it, or to change nothing.
    create : bool
        Whether a project that is not there is started.

    Raises
    ------
    ProjectLockedError
        Where another process has it open; `read_only` is possible then.
    ProjectError
        Where it is absent, damaged, of another program or of a newer version.
    OutputError
        Where there is no room for it.
    """
    asked = Path(path).expanduser().absolute()
    if asked.suffix != SUFFIX:
        raise ProjectError(
            f"{asked} does not end in {SUFFIX}, as project files do. Add the suffix."
        )
    if asked.is_dir() or not asked.parent.is_dir():
        wrong = "is a folder" if asked.is_dir() else f"lies in no folder: {asked.parent} is absent"
        raise ProjectError(f"{asked} {wrong}. Choose a place for a file.")
    if not asked.exists() and (read_only or not create):
        raise ProjectError(f"There is no project {asked}. Check the path, or start a new one.")
    who = annotator or user_name()
    if read_only:
        return _open_to_read(asked, who)
    place, lock, notices = _writable_place(asked)
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(place)
        return _open_to_write(place, connection, lock, who, classes, notices, home=asked.parent)
    except BaseException as error:
        if connection is not None:
            connection.close()
        lock.release()
        if isinstance(error, sqlite3.Error):
            raise _translated(place, error) from error
        raise


def _writable_place(asked: Path) -> tuple[Path, WriteLock, list[str]]:
    """The project itself or its copy in the user's folder, locked; and what to say about it."""
    try:
        lock = WriteLock(asked)
        if not asked.exists() and own_copy(asked).exists():  # its folder was forbidden then
            lock.release()
            told = bring_back(asked)
            return asked, WriteLock(asked), [told]
        if not asked.exists() or os.access(asked, os.W_OK):
            return asked, lock, []
        lock.release()
    except OSError as error:
        if not cannot_be_written(error):
            raise OutputError(
                f"{asked} cannot be opened to write: {error.strerror}. Make room, or choose "
                "another folder."
            ) from error
    place, notice = writable_copy(asked)
    return place, WriteLock(place), [notice]


def _connect(path: Path, options: str = "") -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}{options}", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _open_to_write(
    path: Path,
    connection: sqlite3.Connection,
    lock: WriteLock,
    annotator: str,
    classes: ClassScheme,
    notices: list[str],
    *,
    home: Path,
) -> ProjectStore:
    version = schema.stored_version(connection, path)
    known = version != 0
    if not known:
        _check_not_emptied(path)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: an edit is on the disk, not in its cache, before it shows.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
    if not known:
        _start(connection, classes)
    elif not _ended_well(connection):
        _check_whole(connection)
        notices.append("The last session was cut off; every edit that it had made is here.")
    if known and version < schema.VERSION:
        try:
            back_up(connection, path)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(
                f"{path} has to be brought to version {schema.VERSION}, and no backup of it could "
                f"be made: {error}. Make room; the project was not changed."
            ) from error
        schema.migrate(connection, version)
    state = ProjectState.load(connection, path)
    if known:  # after all pages were read, so that no damage reaches the backups
        try:
            back_up(connection, path)
        except (OSError, sqlite3.Error) as error:
            notices.append(f"No backup of {path} could be made: {error}.")
    if home != path.parent:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('home', ?)", (str(home),))
    copy = own_copy(path)
    if home == path.parent and copy.exists():
        notices.append(
            f"While {home} could not be written, this project went on in {copy}. Bring that back, "
            "or go on here; nothing is deleted."
        )
    store = ProjectStore(path, connection, state, lock=lock, annotator=annotator, notices=notices)
    store.left_copy = copy if home == path.parent and copy.exists() else None
    try:
        store.begin_session()
    except OutputError as error:  # a full disk: looking and exporting still work
        store.notices = (*store.notices, str(error))
    return store


def _open_to_read(path: Path, annotator: str) -> ProjectStore:
    """Read beside a writer; where the folder forbids even the shared index, take it as it is."""
    try:
        connection = _connect(path, "?mode=ro")
    except sqlite3.OperationalError as error:
        log = Path(f"{path}-wal")
        if log.exists() and log.stat().st_size:
            raise ProjectError(
                f"{path} holds edits that its folder gives no permission to read ({error}). "
                "Open it to write: a copy is made in your own folder then."
            ) from error
        connection = _connect(path, "?mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise _translated(path, error) from error
    try:
        version = schema.stored_version(connection, path)
        if version != schema.VERSION:
            raise ProjectError(
                f"{path} has project version {version}, which has to be brought to "
                f"{schema.VERSION} first. Open it once to write."
            )
        state = ProjectState.load(connection, path)
        notices = [f"{path} is open to read only: nothing can be changed."]
        return ProjectStore(
            path, connection, state, lock=None, annotator=annotator, notices=notices
        )
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise _translated(path, error) from error
        raise


def _start(connection: sqlite3.Connection, classes: ClassScheme) -> None:
    rows = [ClassRow(i, c.name, c.color, c.key, i) for i, c in enumerate(classes.classes)]
    connection.execute("BEGIN IMMEDIATE")
    try:
        schema.create(connection)
        write_classes(connection, rows)
        connection.execute("INSERT INTO origins VALUES (0, ?)", (HUMAN,))
        connection.execute("INSERT INTO meta VALUES ('created', ?)", (str(time.time()),))
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _ended_well(connection: sqlite3.Connection) -> bool:
    (cut_off,) = connection.execute(
        "SELECT count(*) FROM (SELECT * FROM sessions ORDER BY id DESC LIMIT 1) WHERE ended IS NULL"
    ).fetchone()
    return not cut_off


def _check_whole(connection: sqlite3.Connection) -> None:
    """Look for damage after a session that was cut off, before it reaches a backup."""
    (first, *_) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if first != "ok":
        raise sqlite3.DatabaseError(first)


def _check_not_emptied(path: Path) -> None:
    """A file without tables that has backups was a project once: never start it anew."""
    if backups(path):
        raise sqlite3.DatabaseError("it is empty")


def _translated(path: Path, error: sqlite3.Error) -> ProjectError | OutputError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return damaged(path, error)
    if code == sqlite3.SQLITE_CANTOPEN:
        return ProjectError(f"{path} cannot be opened: {error}. Check its permissions.")
    return write_error(path, error)
