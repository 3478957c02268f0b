"""Which nuclei lie in a rectangle, without looking at all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.image import Region

__all__ = ["TileGrid"]

TILE = 512
LOOSE_LIMIT = 20_000
"""Rows outside the sorted part beyond which it is sorted anew (a scan of so many takes 0.2 ms)."""


class TileGrid:
    """Rows sorted by tiles of 512 px, and an unsorted rest that has been added or moved since.

    An edit only marks its rows as loose; a query reads the sorted rows of the tiles
    that it overlaps and scans the loose ones. So an edit costs nothing that grows
    with the number of nuclei, and the sorting is done once in many thousand edits.
    """

    def __init__(self) -> None:
        self._order = np.zeros(0, np.int32)
        self._starts = np.zeros(2, np.int64)
        self._shape = (1, 1)
        self._is_loose = np.zeros(0, np.bool_)
        self._loose = np.zeros(1024, np.int32)
        self._loose_count = 0

    def touch(self, rows: NDArray[np.integer]) -> None:
        """Say that `rows` are new or lie elsewhere."""
        if not len(rows):
            return
        needed = int(rows.max()) + 1
        if needed > len(self._is_loose):
            grown = np.zeros(needed + needed // 4 + 1024, np.bool_)
            grown[: len(self._is_loose)] = self._is_loose
            self._is_loose = grown
        fresh = rows[~self._is_loose[rows]]
        end = self._loose_count + len(fresh)
        if end > len(self._loose):
            more = np.zeros(end + end // 2, np.int32)
            more[: self._loose_count] = self._loose[: self._loose_count]
            self._loose = more
        self._loose[self._loose_count : end] = fresh
        self._loose_count = end
        self._is_loose[fresh] = True

    def truncate(self, size: int) -> None:
        """Forget the rows from `size` on; they must not have been sorted yet."""
        loose = self._loose[: self._loose_count]
        kept = loose[loose < size]
        self._is_loose[loose[loose >= size]] = False
        self._loose[: len(kept)] = kept
        self._loose_count = len(kept)

    def query(self, region: Region, yx: NDArray[np.float32]) -> NDArray[np.int32]:
        """Rows whose points lie in `region`, ascending; `yx` are all points, (N, 2)."""
        if self._loose_count > LOOSE_LIMIT:
            self.sort(yx)
        rows, columns = self._shape
        top, bottom = (int(np.clip(v // TILE, 0, rows - 1)) for v in (region.y, region.bottom))
        left, right = (int(np.clip(v // TILE, 0, columns - 1)) for v in (region.x, region.right))
        parts = [
            self._order[
                self._starts[row * columns + left] : self._starts[row * columns + right + 1]
            ]
            for row in range(top, bottom + 1)
        ]
        settled = np.concatenate(parts)
        if self._loose_count:
            settled = settled[~self._is_loose[settled]]
            settled = np.concatenate([settled, self._loose[: self._loose_count]])
        found = settled[region.contains(yx[settled])]
        found.sort()
        return found

    def sort(self, yx: NDArray[np.float32]) -> None:
        """Put all rows into their tiles; nothing is loose afterwards."""
        if not len(yx):
            return
        tiles = np.maximum(np.floor((yx + np.float32(0.5)) / TILE).astype(np.int32), 0)
        rows, columns = (int(n) + 1 for n in tiles.max(axis=0))
        tile = tiles[:, 0] * columns + tiles[:, 1]
        count = rows * columns
        # numpy sorts 16-bit numbers by radix, several times faster.
        keys = tile.astype(np.uint16) if count <= 1 << 16 else tile
        self._order = np.argsort(keys, kind="stable").astype(np.int32)
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(tile, minlength=count))])
        self._shape = (rows, columns)
        self._is_loose[self._loose[: self._loose_count]] = False
        self._loose_count = 0
