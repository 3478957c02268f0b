"""A level of a slide as a lazy array: tiles are decoded when asked for, and kept for a while."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import NucbudgetError, TileError

__all__ = ["TileCache", "TiledLevel"]

CACHE_BYTES = 64 << 20
"""Neighbouring reads share the tiles under their halos; more than a few rows is no gain."""


class TileCache:
    """Decoded tiles, the most recently used ones, up to a number of bytes; for many threads."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._tiles: OrderedDict[Any, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> NDArray[Any] | None:
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: Any, tile: NDArray[Any]) -> None:
        with self._lock:
            if key in self._tiles or tile.nbytes > self._limit:
                return
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes


class TiledLevel:
    """(H, W, samples) array-like whose slices are put together from decoded tiles.

    It is what a napari multiscale layer, or `ArraySource`, takes as a level.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and samples per pixel.
    dtype : dtype
    tile : (int, int)
        Height and width of a tile.
    decode : callable
        ``decode(row, column)`` gives the tile of that row and column of tiles,
        (at least what lies inside the image, samples), or None where the slide
        left it out, which is read as white. Called from several threads.
    path, number : str, int
        File and level, for messages.
    cache : TileCache
        Shared by the levels of one slide.
    """

    ndim = 3

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: Any,
        *,
        tile: tuple[int, int],
        decode: Callable[[int, int], NDArray[Any] | None],
        path: str,
        number: int,
        cache: TileCache,
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.tile = tile
        self.forgiving = False
        """Show tiles that do not decode in grey, with one warning each, instead of raising."""
        self._decode = decode
        self._path, self._number, self._cache = path, number, cache
        self._told: set[tuple[int, int]] = set()

    @property
    def size(self) -> int:
        height, width, samples = self.shape
        return height * width * samples

    @property
    def nbytes(self) -> int:
        return self.size * int(self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        pixels = self[:, :]
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in [k for k in keys if not isinstance(k, np.ndarray)]:
            at = keys.index(Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        (top, bottom, rows), (left, right, columns) = (
            _span(k, n) for k, n in zip(keys, self.shape[:2], strict=False)
        )
        part: NDArray[Any] = self._window(top, left, bottom, right)[rows, columns, keys[2]]
        return part

    def _window(self, top: int, left: int, bottom: int, right: int) -> NDArray[Any]:
        """Pixels of rows top .. bottom and columns left .. right, which lie inside."""
        out = np.empty((max(bottom - top, 0), max(right - left, 0), self.shape[2]), self.dtype)
        for row, column in self._tiles(top, left, bottom, right):
            y, x = row * self.tile[0], column * self.tile[1]
            y0, x0 = max(y, top), max(x, left)
            y1, x1 = min(y + self.tile[0], bottom), min(x + self.tile[1], right)
            target = out[y0 - top : y1 - top, x0 - left : x1 - left]
            pixels = self._tile(row, column)
            if pixels is None:
                target[...] = self._full(1.0)
            else:
                target[...] = pixels[y0 - y : y1 - y, x0 - x : x1 - x]
        return out

    def _tiles(self, top: int, left: int, bottom: int, right: int) -> Iterator[tuple[int, int]]:
        if bottom <= top or right <= left:
            return
        height, width = self.tile
        for row in range(top // height, (bottom - 1) // height + 1):
            for column in range(left // width, (right - 1) // width + 1):
                yield row, column

    def _tile(self, row: int, column: int) -> NDArray[Any] | None:
        key = (self._number, row, column)
        tile = self._cache.get(key)
        if tile is not None:
            return tile
        try:
            tile = self._decode(row, column)
            if tile is not None:
                self._check_tile(tile, row, column)
        except MemoryError:
            raise
        except NucbudgetError as error:
            if not isinstance(error, TileError):
                raise
            return self._forgive(error, row, column)
        except Exception as error:  # noqa: BLE001  codecs raise many kinds for damaged tiles
            return self._forgive(self._damaged(row, column, error), row, column)
        if tile is not None:
            self._cache.put(key, tile)
        return tile

    def _place(self, row: int, column: int) -> tuple[int, int, int, int]:
        y, x = row * self.tile[0], column * self.tile[1]
        height, width = min(self.tile[0], self.shape[0] - y), min(self.tile[1], self.shape[1] - x)
        return y, x, height, width

    def _check_tile(self, tile: NDArray[Any], row: int, column: int) -> None:
        height, width = self._place(row, column)[2:]
        if tile.ndim != 3 or tile.shape[0] < height or tile.shape[1] < width:
            raise ValueError(f"it holds {tile.shape} values, {height} x {width} pixels are needed")
        if tile.shape[2] != self.shape[2]:
            raise ValueError(f"it holds {tile.shape[2]} channels instead of {self.shape[2]}")

    def _damaged(self, row: int, column: int, error: Exception) -> TileError:
        place = self._place(row, column)
        reason = str(error) or type(error).__name__
        damaged = TileError(
            f"{self._path} is damaged: the pixels at y={place[0]}, x={place[1]} of level "
            f"{self._number} do not decode (the tile in row {row}, column {column} of the tiles, "
            f"{place[2]} x {place[3]} pixels: {reason}). Copy the file again; if that does not "
            "help, leave this place out.",
            path=self._path,
            level=self._number,
            yxhw=place,
        )
        damaged.__cause__ = error
        return damaged

    def _forgive(self, error: TileError, row: int, column: int) -> NDArray[Any]:
        if not self.forgiving:
            raise error
        if (row, column) not in self._told:
            self._told.add((row, column))
            warnings.warn(f"{error} It is shown in grey.", stacklevel=2)
        height, width = self._place(row, column)[2:]
        return np.full((height, width, self.shape[2]), self._full(0.5), self.dtype)

    def _full(self, light: float) -> Any:
        """A share of the largest value that the pixels can have."""
        top = np.iinfo(self.dtype).max if self.dtype.kind in "ui" else 1.0
        return self.dtype.type(light * top)


def _span(key: Any, length: int) -> tuple[int, int, Any]:
    """First and last-plus-one index that a key needs, and the key within them."""
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        if step > 0:
            return start, max(start, stop), slice(None, None, step)
        whole = np.arange(length)[key]
        if not len(whole):
            return 0, 0, slice(None)
        return int(whole[-1]), int(whole[0]) + 1, slice(None, None, step)
    if isinstance(key, (int, np.integer)):
        index = int(key) + length if key < 0 else int(key)
        if not 0 <= index < length:
            raise IndexError(f"index {key} is out of bounds for an axis of {length}")
        return index, index + 1, 0
    return 0, length, np.asarray(key)
