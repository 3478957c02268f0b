"""The map of scores of a slide on disk: a byte a model pixel, in zarr."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import OutputError
from napari_nucbudget.types.image import Region

__all__ = ["CHUNK", "SCORES_FILE", "ScoreFile"]

SCORES_FILE = "scores.zarr"
CHUNK = 1024


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """An array of (h, w) uint8, 0 .. 255 for scores of 0 .. 1; what is not tissue is 0.

    Its attribute ``step`` is the number of level-0 pixels per pixel. Chunks that were never
    written take no room.
    """

    path: Path
    array: Any

    @classmethod
    def open(cls, folder: Path, shape: tuple[int, int], *, step: float) -> ScoreFile:
        """The file in a run's folder, made where it is absent.

        Raises
        ------
        OutputError
            Where it cannot be written.
        """
        import zarr

        path = folder / SCORES_FILE
        try:
            if path.exists():
                return cls(path, zarr.open_array(path, mode="r+"))
            array = zarr.create_array(path, shape=shape, chunks=(CHUNK, CHUNK), dtype="uint8")
            array.attrs["step"] = step
        except OSError as error:
            raise _unwritable(path, error) from error
        return cls(path, array)

    def write(self, core: Region, values: NDArray[np.uint8]) -> None:
        """Put the map of a block in its place; a block written twice is the same twice.

        Raises
        ------
        OutputError
            Where the disk is full or gone.
        """
        try:
            self.array[core.slices] = values
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror or error}. Nothing is lost: make room and "
        "give the same command again."
    )
