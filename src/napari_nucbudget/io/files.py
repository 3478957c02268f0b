"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from napari_nucbudget.errors import OutputError

__all__ = ["refuse_redirected", "write_atomically"]


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write beside the place first, then move there; an old file stays until the new is whole.

    `data` may come in pieces, which are written as they come.

    A symbolic link is followed. What is not a file, such as ``/dev/stdout``, is
    written to as it is, never replaced.

    Raises
    ------
    OutputError
        Where the folder is absent, read-only or full; see also `refuse_redirected`.
    """
    refuse_redirected(path)
    pieces = [data] if isinstance(data, bytes) else data
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as stream:
                stream.writelines(pieces)
            return
        _write_beside(path.resolve(), pieces)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Nothing was changed; "
            "choose another place or make room."
        ) from error


def refuse_redirected(path: Path) -> None:
    """Refuse ``/dev/stdout`` where it leads to a file, which others write to meanwhile.

    Raises
    ------
    OutputError
    """
    if str(path).startswith(("/dev/std", "/dev/fd/", "/proc/self/fd/")) and path.is_file():
        raise OutputError(f"{path} leads to the file {path.resolve()}; name that file instead.")


def _write_beside(path: Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")  # short: names have a limit
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
