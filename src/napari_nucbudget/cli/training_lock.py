"""One process a training folder."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from napari_nucbudget.errors import OutputError, ProjectLockedError
from napari_nucbudget.project.lock import WriteLock

__all__ = ["alone"]

Report = TypeVar("Report")
Result = TypeVar("Result")


def alone(steps: Generator[Report, None, Result], out: Path) -> Generator[Report, None, Result]:
    """The steps of a training, while no other process trains into `out`.

    Two would leave the settings of one beside the weights of the other.

    Raises
    ------
    OutputError
        Where one does, or nothing can be written beside `out`.
    """
    whole = out.resolve()
    made = [folder for folder in whole.parents if not folder.exists()]
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        lock = WriteLock(whole)
    except ProjectLockedError as error:
        raise OutputError(
            f"Another process trains into {out} at this moment. Wait for it, or give another "
            "folder (--out)."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{whole.parent} cannot be written: {error.strerror or error}. Give another folder "
            "(--out)."
        ) from error
    try:
        return (yield from steps)
    finally:
        lock.release()
        with suppress(OSError):  # what is not empty stays
            lock.path.unlink()
            for folder in made:
                folder.rmdir()
