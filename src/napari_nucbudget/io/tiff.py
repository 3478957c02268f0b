"""TIFF on disk, read piece by piece: plain, tiled, pyramidal, OME, and scanners' dialects."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, NucbudgetError, SlideGoneError
from napari_nucbudget.io.tiff_header import (
    check_layout,
    check_pieces,
    check_size,
    choose_series,
    pyramid_of,
    tiff_pixel_size,
)
from napari_nucbudget.io.tiled import TileCache, TiledLevel
from napari_nucbudget.types.image import ArraySource, Region

__all__ = ["TiffSource", "tiff_pixel_size"]

JPEG = (6, 7, 33007, 34892)
"""Compressions whose tiles are JPEG streams, which end with a marker."""
APERIO_YCBCR = 33003
"""JPEG 2000 of luma and chroma. The decoder makes RGB of it only where chroma is subsampled."""
J2K_START, J2K_CHROMA_STEP = b"\xff\x4f\xff\x51", 46
"""How a JPEG 2000 stream begins, and where it says how wide a pixel of the second component is."""
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"

_log = logging.getLogger(__name__)


class TiffSource(ArraySource):
    """`ImageSource` over a TIFF on disk; only what `read` asks for is decoded.

    Several threads may read at once. The file is freed by `close`, or when the
    source and its levels are no longer used. Colour profiles are ignored.

    Attributes
    ----------
    arrays : list of array-like
        The levels, largest first, (H, W, samples) or (samples, H, W).

    Raises
    ------
    ImageError
        Where the file is damaged, truncated or forged, holds a stack, or is not RGB.
    PixelSizeError
        Where the pixel size makes no sense and `mpp` is not given.
    """

    def __init__(self, path: Path, *, mpp: float | None = None, name: str | None = None) -> None:
        import tifffile

        name = name or path.name
        try:
            self._tif = tifffile.TiffFile(path)
        except Exception as error:  # struct, value and index errors too, for damaged headers
            raise ImageError(f"{path} is not a TIFF that can be read: {error}.") from error
        self._file = _SharedFile(path)
        try:
            levels, axes, page = self._open(path)
            stated = mpp if mpp is not None else tiff_pixel_size(self._tif, page)
            super().__init__(levels, mpp=stated, name=name, channel_first=axes[0] in "SC")
        except NucbudgetError:
            self._close_files()
            raise
        except MemoryError as error:
            self._close_files()
            raise ImageError(f"{path} claims more than fits into memory.") from error
        except Exception as error:  # tifffile raises many kinds for damaged files
            self._close_files()
            raise ImageError(
                f"{path} is damaged or truncated: its header cannot be read "
                f"({error or type(error).__name__})."
            ) from error
        self.path = path
        self._closing = weakref.finalize(self, self._tif.close)

    @property
    def arrays(self) -> list[Any]:
        return list(self._arrays)

    def _close_files(self) -> None:
        self._tif.close()
        self._file.close()

    def _open(self, path: Path) -> tuple[list[Any], str, Any]:
        """Lazily read arrays, the largest first, the names of their axes, and the first's page."""
        if not self._tif.series:
            raise ImageError(f"{path} is damaged or truncated: it holds no image.")
        series = choose_series(self._tif)
        check_layout(path, series)
        check_size(path, series)
        cache = TileCache()
        levels = []
        for number, level in enumerate(pyramid_of(self._tif, series)):
            if number:
                check_pieces(path, level)
            levels.append(self._level(path, level, number, cache))
        return levels, series.axes, series.keyframe

    def _level(self, path: Path, level: Any, number: int, cache: TileCache) -> Any:
        import zarr

        page = level.keyframe
        if level.axes != "YXS" or len(level.pages) != 1 or not page.is_tiled:
            store = level.aszarr()
            # The array may outlive the source, in a viewer; it keeps the file open then.
            return zarr.open_array(store, mode="r")
        return TiledLevel(
            tuple(level.shape),
            page.dtype,
            tile=(page.tilelength, page.tilewidth),
            decode=_TiffTiles(self._file, level.pages[0], page),
            path=str(path),
            number=number,
            cache=cache,
        )

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        try:
            return super().read(region, level)
        except (NucbudgetError, MemoryError):
            raise
        except Exception as error:  # codecs raise many kinds for damaged strips
            raise ImageError(
                f"{self.path} is damaged: the pixels at y={region.y}, x={region.x} of level "
                f"{level} do not decode ({error})."
            ) from error

    def close(self) -> None:
        self._closing()
        self._file.close()


class _TiffTiles:
    """Decodes the tiles of one page, from any thread."""

    def __init__(self, file: _SharedFile, page: Any, keyframe: Any) -> None:
        self._file = file
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._columns = int(keyframe.chunked[1])
        self._decode = keyframe.decode
        self._options: dict[str, Any] = {}
        self._whole_jpeg = False
        self._ycbcr = int(keyframe.compression) == APERIO_YCBCR
        if int(keyframe.compression) in JPEG:
            self._options = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
            self._whole_jpeg = page.jpegheader is None
        absent = sum(count == 0 for count in self._counts)
        if absent:
            _log.warning(
                "%s leaves out %d of %d tiles, as scanners do for bare glass: they are read as "
                "white.",
                file.path,
                absent,
                len(self._counts),
            )

    def __call__(self, row: int, column: int) -> NDArray[Any] | None:
        index = row * self._columns + column
        if index >= len(self._offsets):
            raise ValueError("it is not in the file's list of tiles")
        offset, count = self._offsets[index], self._counts[index]
        if count == 0:
            return None
        data = self._file.read(offset, count)
        if self._whole_jpeg and not (
            data.startswith(JPEG_START) and data.rstrip(b"\0").endswith(JPEG_END)
        ):
            # The decoder fills what is missing with grey and says nothing.
            raise ValueError("its JPEG stream has no beginning or no end")
        pixels = self._decode(data, index, **self._options)[0]
        if pixels is None:
            return None
        if self._ycbcr and data.startswith(J2K_START) and data[J2K_CHROMA_STEP] == 1:
            return _to_rgb(pixels[0])
        return np.asarray(pixels[0])


def _to_rgb(ycbcr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB of full-range YCbCr (ITU-T T.871), both (h, w, 3) uint8."""
    luma, blue, red = (ycbcr[..., i].astype(np.float32) for i in range(3))
    blue, red = blue - 128, red - 128
    green = luma - 0.344136 * blue - 0.714136 * red
    rgb = np.stack([luma + 1.402 * red, green, luma + 1.772 * blue], axis=-1)
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)


class _SharedFile:
    """Bytes of a file for several threads; closed when nothing uses it any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            stream = path.open("rb")
        except OSError as error:
            raise ImageError(f"{path} cannot be opened: {error.strerror or error}.") from error
        self._stream = stream
        self._lock = threading.Lock()
        self._closing = weakref.finalize(self, stream.close)

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on.

        Raises
        ------
        SlideGoneError
            Where the file ends before, or its disk or server does not answer.
        """
        try:
            if hasattr(os, "pread"):
                data = os.pread(self._stream.fileno(), count, offset)
            else:
                with self._lock:
                    self._stream.seek(offset)
                    data = self._stream.read(count)
        except (OSError, ValueError) as error:  # a closed file is a ValueError
            reason = getattr(error, "strerror", None) or error
            raise SlideGoneError(
                f"{self.path} cannot be read any more: {reason}. Is its disk or server still "
                "there? Run again once it is."
            ) from error
        if len(data) < count:
            raise SlideGoneError(
                f"{self.path} became shorter while it was read: {count} bytes at {offset:,} are "
                "gone. Copy the file again, then run again."
            )
        return data

    def close(self) -> None:
        self._closing()
