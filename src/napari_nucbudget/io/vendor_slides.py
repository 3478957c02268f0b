"""Slides that OpenSlide reads and tifffile does not: MRXS, DICOM, VMS, BIF."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, SlideGoneError
from napari_nucbudget.io.tiff_header import square_mpp
from napari_nucbudget.io.tiled import TileCache, TiledLevel
from napari_nucbudget.types.image import ArraySource

__all__ = ["VENDOR_SUFFIXES", "OpenSlideSource", "is_dicom"]

VENDOR_SUFFIXES = (".mrxs", ".vms", ".vmu", ".bif", ".svslide", ".dcm", ".czi")
TILE = 512
"""Side of the pieces that are asked of OpenSlide, which hides the tiles of the file."""


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


class OpenSlideSource(ArraySource):
    """`ImageSource` through OpenSlide; several threads may read at once.

    What was not scanned is read as the slide's background, else as white.

    Raises
    ------
    ImageError
        Where OpenSlide is not installed or cannot read the file.
    PixelSizeError
        Where the pixel size makes no sense and `mpp` is not given.
    """

    def __init__(self, path: Path, *, mpp: float | None = None, name: str | None = None) -> None:
        try:
            import openslide
        except (ImportError, OSError) as error:  # OSError: the library behind it is absent
            raise ImageError(
                f"{path} needs OpenSlide, which is not installed: "
                "pip install 'napari-nucbudget[slides]'."
            ) from error
        self.path = path
        self._error: type[Exception] = openslide.OpenSlideError
        self._lock = threading.Lock()
        self._slide = self._opened()
        facts = self._slide.properties
        if mpp is None:
            stated = [facts.get(f"openslide.mpp-{axis}") for axis in "yx"]
            if all(stated):
                mpp = square_mpp(*(float(value) for value in stated if value), of=str(path))
        self._background = _background(facts.get("openslide.background-color"))
        cache = TileCache()
        sizes = [(height, width) for width, height in self._slide.level_dimensions]
        levels = [
            TiledLevel(
                (*size, 3),
                np.uint8,
                tile=(TILE, TILE),
                decode=_Pieces(self, number, size),
                path=str(path),
                number=number,
                cache=cache,
            )
            for number, size in enumerate(sizes)
        ]
        super().__init__(levels, mpp=mpp, name=name or path.name, channel_first=False)

    @property
    def arrays(self) -> list[Any]:
        return list(self._arrays)

    def _opened(self) -> Any:
        import openslide

        try:
            return openslide.OpenSlide(str(self.path))
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise ImageError(
                f"{self.path} is not a slide that OpenSlide can read. MRXS needs its folder beside "
                "it; of DICOM, whole slide images are read."
            ) from error
        except (openslide.OpenSlideError, OSError) as error:
            raise ImageError(f"{self.path} is damaged or truncated: {error}.") from error

    def piece(self, level: int, y: int, x: int, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width, 3) pixels of a level."""
        slide = self._slide
        factor = slide.level_downsamples[level]
        try:
            rgba = slide.read_region((round(x * factor), round(y * factor)), level, (width, height))
        except self._error as error:
            if not self.path.exists():
                raise SlideGoneError(
                    f"{self.path} disappeared while it was read. Is its disk or server still "
                    "there? Run again once it is."
                ) from error
            # After an error OpenSlide refuses all further reads from the same handle.
            with self._lock:
                if self._slide is slide:
                    self._slide = self._opened()
            raise
        pixels = np.asarray(rgba)
        alpha = pixels[..., 3:]
        if alpha.min() == 255:
            return pixels[..., :3]
        share = alpha.astype(np.uint16)
        mixed = (pixels[..., :3] * share + self._background * (255 - share) + 127) // 255
        return mixed.astype(np.uint8)


class _Pieces:
    """Cuts a level into pieces of `TILE` pixels."""

    def __init__(self, source: OpenSlideSource, level: int, shape: tuple[int, int]) -> None:
        self._source, self._level, self._shape = source, level, shape

    def __call__(self, row: int, column: int) -> NDArray[np.uint8]:
        y, x = row * TILE, column * TILE
        height, width = min(TILE, self._shape[0] - y), min(TILE, self._shape[1] - x)
        return self._source.piece(self._level, y, x, height, width)


def _background(text: str | None) -> NDArray[np.uint16]:
    """(3,) colour from six hexadecimal digits."""
    digits = text if text and len(text) == 6 else "FFFFFF"
    return np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)], np.uint16)
