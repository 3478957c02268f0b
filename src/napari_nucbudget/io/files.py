"""Writing files whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from napari_nucbudget.errors import OutputError

__all__ = ["write_atomically"]


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside the place first, then move there; an old file stays until the new is whole.

    Raises
    ------
    OutputError
        Where the folder is absent, read-only or full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Nothing was changed; "
            "choose another place or make room."
        ) from error
