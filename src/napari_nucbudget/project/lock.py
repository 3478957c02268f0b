"""One writer a project: a lock of the operating system, which ends with its process."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
import weakref
from pathlib import Path

from napari_nucbudget.errors import ProjectLockedError

__all__ = ["WriteLock", "check_unlocked", "user_name"]

_LOCKED_BYTE = 1 << 30
"""Windows locks bytes and keeps others from reading them: one far behind the text."""
_HELD: weakref.WeakSet[WriteLock] = weakref.WeakSet()


def user_name() -> str:
    """Login name of the user, ``annotator`` where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return "annotator"


class WriteLock:
    """Exclusive right to write to a project, held until `release` or the end of the process.

    The file beside the project stays behind; only the lock on it counts. It holds
    who has it, for the message to others.

    Raises
    ------
    ProjectLockedError
        Where another process, or this one, has the project open.
    OSError
        Where the folder cannot be written.
    """

    def __init__(self, project: Path) -> None:
        self.path = _lock_path(project)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _lock(self._file)
        except OSError:
            holder = _holder(self._file)
            os.close(self._file)
            raise _locked(project, holder) from None
        _HELD.add(self)
        who = {"pid": os.getpid(), "user": user_name(), "since": time.strftime("%Y-%m-%d %H:%M")}
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, json.dumps(who).encode())

    def release(self) -> None:
        """Give the right back, also where a child that was just forked still has the file open."""
        if self._file >= 0:
            _unlock(self._file)
            self.forget()

    def forget(self) -> None:
        """Close the file and leave the lock to whoever else has it open."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def check_unlocked(project: Path) -> None:
    """Look whether somebody writes to a project that this user may only read.

    Raises
    ------
    ProjectLockedError
        Where somebody does.
    """
    try:
        file = os.open(_lock_path(project), os.O_RDONLY)
    except OSError:
        return  # nobody ever opened it to write, or nobody lets us see
    try:
        _lock(file)
    except OSError:
        raise _locked(project, _holder(file)) from None
    finally:
        os.close(file)


def _lock_path(project: Path) -> Path:
    return project.with_name(f".{project.name}.lock")


def _holder(file: int) -> str:
    """Who has the lock, in brackets, as far as the file tells."""
    try:
        who = json.loads(os.read(file, 4096))
        return f" (process {who['pid']} of {who['user']}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _locked(project: Path, holder: str) -> ProjectLockedError:
    return ProjectLockedError(
        f"{project} is open elsewhere{holder}. Close it there, or open it here to read only."
    )


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(file: int) -> None:
    if sys.platform != "win32":  # there, closing is enough: no process is forked
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)


def _forget_in_child() -> None:
    """A forked child shares the lock: without this it would hold it beyond its parent's end."""
    for lock in list(_HELD):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
