"""Which image file a project means, found again by path and known by its first bytes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_nucbudget.errors import ProjectError

__all__ = [
    "HEADER_BYTES",
    "Fingerprint",
    "ProjectImage",
    "find",
    "fingerprint",
    "relative_path",
    "same_content",
]

HEADER_BYTES = 1 << 20
"""How much of a file is hashed: reading a whole slide would take minutes."""
BLOCKS, BLOCK_BYTES = 16, 1 << 18
"""What is compared of two files of one fingerprint, from their first bytes to their last."""

FileState = Literal["found", "missing", "changed", "none"]


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 of a file's first MiB, and its size."""

    header_sha256: str
    bytes: int


@dataclass(frozen=True)
class ProjectImage:
    """An image of a project; its pixels stay in its own file.

    Attributes
    ----------
    path : str or None
        Relative to the project where possible, with ``/``; None for an image without a file.
    absolute : str or None
        Where the file was when it was last seen.
    shape : (int, int)
        Height and width of level 0.
    mpp : float or None
        µm per level-0 pixel.
    """

    id: int
    name: str
    path: str | None
    absolute: str | None
    fingerprint: Fingerprint | None
    shape: tuple[int, int]
    mpp: float | None
    patient: str = "unknown"
    tissue: str = "unknown"
    split: str = "train"


def fingerprint(path: Path) -> Fingerprint:
    """Hash of the header block, and size.

    Raises
    ------
    ProjectError
        Where the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(HEADER_BYTES)).hexdigest()
            return Fingerprint(digest, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise ProjectError(
            f"The image {path} cannot be read: {error.strerror}. Check the path, then try again."
        ) from error


def same_content(one: Path, other: Path) -> bool:
    """Whether two files of one fingerprint are the same image, judged by blocks all over them.

    The first MiB of an uncompressed image may be nothing but white margin.

    Raises
    ------
    ProjectError
        Where either cannot be read.
    """
    try:
        if one.samefile(other):
            return True
        with one.open("rb") as a, other.open("rb") as b:
            last = max(0, os.fstat(a.fileno()).st_size - BLOCK_BYTES)
            for number in range(BLOCKS):
                for file in (a, b):
                    file.seek(last * number // (BLOCKS - 1))
                if a.read(BLOCK_BYTES) != b.read(BLOCK_BYTES):
                    return False
    except OSError as error:
        raise ProjectError(
            f"{one} and {other} cannot be compared: {error.strerror}. Check them, then try again."
        ) from error
    return True


def relative_path(path: Path, folder: Path) -> str:
    """`path` as seen from `folder`, with ``/``; absolute where they share no drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()


def find(image: ProjectImage, folders: list[Path]) -> tuple[FileState, Path | None]:
    """Whether the file is where the project says, and where that is.

    The path is tried from each of `folders`, then as it was when last seen. The file
    counts as changed where there is one but its header block or size differs.
    """
    if image.path is None:
        return "none", None
    tried = [folder / image.path for folder in folders]
    if image.absolute:
        tried.append(Path(image.absolute))
    there = [Path(os.path.normpath(path)) for path in tried if path.is_file()]
    for path in there:
        if fingerprint(path) == image.fingerprint:
            return "found", path
    return ("changed", there[0]) if there else ("missing", None)
