"""Backups of a project, and the place to work in where its folder cannot be written."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from napari_nucbudget.errors import OutputError, ProjectError
from napari_nucbudget.project.lock import WriteLock, check_unlocked

__all__ = [
    "BACKUPS_KEPT",
    "back_up",
    "backups",
    "bring_back",
    "data_folder",
    "own_copy",
    "restore",
    "writable_copy",
]

BACKUPS_KEPT = 5


def data_folder() -> Path:
    """Folder of the user's own data of this program (not made here)."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "napari-nucbudget"


def backups(project: Path) -> list[Path]:
    """Backups of a project, the newest first."""
    return sorted(_backup_folder(project).glob(f"*{project.suffix}"), reverse=True)


def back_up(connection: sqlite3.Connection, project: Path) -> Path:
    """Copy the database beside itself, and keep the last five copies.

    Nothing is copied where the newest backup holds the same edits: starting five
    times without editing must not push out the older ones.

    Raises
    ------
    OSError, sqlite3.Error
        Where the folder is full or cannot be written; the older backups stay.
    """
    older = backups(project)
    try:
        if older and _state_of(older[0]) == _state(connection):
            return older[0]
    except sqlite3.Error:
        pass  # the newest backup is damaged: one more reason to make another
    folder = _backup_folder(project)
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():  # of a process that was killed meanwhile
        if left.name.endswith((".part", ".part-journal")):
            left.unlink(missing_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    same = [path for path in older if path.stem.startswith(f"{project.stem}-{stamp}-")]
    number = int(same[0].stem[-3:]) + 1 if same else 0
    target = folder / f"{project.stem}-{stamp}-{number:03d}{project.suffix}"
    partial = target.with_suffix(".part")
    try:
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    for path in backups(project)[BACKUPS_KEPT:]:
        path.unlink(missing_ok=True)
    return target


def restore(backup: Path, project: Path) -> Path:
    """Put a backup in the place of a project, which is kept under another name.

    Returns
    -------
    Path
        Where the replaced file lies now.

    Raises
    ------
    ProjectLockedError
        Where a process has the project open.
    ProjectError, OutputError
        Where the backup is damaged, or the folder cannot be written.
    """
    try:
        _state_of(backup)
    except sqlite3.Error as error:
        raise ProjectError(
            f"The backup {backup} is damaged ({error}). Take another one."
        ) from error
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = project.with_name(f"{project.stem}-replaced-{stamp}{project.suffix}")
    part = project.with_name(f".{project.name}.part")
    try:
        lock = WriteLock(project)
        try:
            shutil.copyfile(backup, part)
            for suffix in ("", "-wal", "-shm"):
                old = Path(f"{project}{suffix}")
                if old.exists():
                    old.replace(f"{aside}{suffix}")
            part.replace(project)
        finally:
            part.unlink(missing_ok=True)
            lock.release()
    except OSError as error:
        raise OutputError(
            f"{project} could not be restored from {backup}: {error.strerror}. Make room, or "
            "copy the backup to another folder and open it there."
        ) from error
    return aside


def own_copy(project: Path) -> Path:
    """Where the copy of a project lies, or would lie, that goes on while its folder forbids it."""
    where = hashlib.sha256(str(project.resolve()).encode()).hexdigest()[:8]
    return data_folder() / "projects" / f"{project.stem}-{where}{project.suffix}"


def bring_back(project: Path) -> str:
    """Put the copy of the user's data folder in the place of its project; a sentence that says so.

    Both files are kept: the one that was there, and the copy, under other names.

    Raises
    ------
    ProjectLockedError
        Where a process has one of them open.
    ProjectError, OutputError
        Where the copy is damaged, or a folder cannot be written.
    """
    copy = own_copy(project)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    whole = copy.with_name(f"{copy.stem}-brought-back-{stamp}{copy.suffix}")
    lock, was_there = WriteLock(copy), project.exists()
    try:
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(whole)) as target:
            source.backup(target)  # with what a killed process left in the write-ahead log
            target.execute("PRAGMA journal_mode = DELETE")
        aside = restore(whole, project)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
    except BaseException as error:
        whole.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error | OSError):
            raise OutputError(f"{copy} could not be brought back to {project}: {error}.") from error
        raise
    finally:
        lock.release()
    kept = f" What was there before is kept as {aside.name}." if was_there else ""
    return f"The work that was kept in {copy.parent} is in {project} again.{kept}"


def writable_copy(project: Path) -> tuple[Path, str]:
    """Where to work on a project whose folder cannot be written, and a sentence that says so.

    The first time, the project is copied into the user's data folder, what a killed
    process left in its write-ahead log included. After that the copy goes on.
    """
    copy = own_copy(project)
    folder, known = copy.parent, copy.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not known and project.exists():
            check_unlocked(project)  # a copy of what is being written would not be whole
            for suffix in ("-wal", ""):  # the database last: without it there is no copy
                if Path(f"{project}{suffix}").exists():
                    shutil.copyfile(f"{project}{suffix}", f"{copy}{suffix}.part")
                    Path(f"{copy}{suffix}.part").replace(f"{copy}{suffix}")
    except OSError as error:
        raise OutputError(
            f"{project.parent} cannot be written, and neither can {folder}: {error.strerror}. "
            "Choose another folder, or open the project to read only."
        ) from error
    doing = "goes on in" if known else "is kept in"
    return copy, f"{project.parent} cannot be written: the project {doing} {copy}."


def _backup_folder(project: Path) -> Path:
    return project.with_name(f"{project.name}-backups")


def _state(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Grows with whatever is written into a project (but not with opening it)."""
    versions = connection.execute("PRAGMA user_version").fetchone()
    (writes,) = connection.execute("SELECT value FROM meta WHERE key = 'writes'").fetchone()
    return (*versions, int(writes))


def _state_of(path: Path) -> tuple[int, ...]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return _state(connection)
