"""The nuclei of one image in memory, and as pages of bytes on disk.

Row k of the table is row ``k % 1024`` of page ``k // 1024``, for good: rows are
appended and changed, never taken out. What was deleted keeps its row with the
status `DELETED`, so that undoing is a change of status again. A page's blob is
the columns of `LAYOUT` one after the other, little-endian, each of ``count``
values; probabilities are a blob of their own, (count, classes) float32, NaN
where a nucleus has none.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ProjectError
from napari_nucbudget.project.grid import TileGrid

__all__ = ["ACCEPTED", "DELETED", "LAYOUT", "PAGE_ROWS", "PROPOSED", "REJECTED", "NucleiTable"]

PAGE_ROWS = 1024
DELETED, PROPOSED, ACCEPTED, REJECTED = range(4)
"""Values of the column `status`; dots that a person set are `ACCEPTED` from the start."""

LAYOUT: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("id", "<i8", ()),
    ("time", "<f8", ()),  # seconds since 1970, of the last change
    ("yx", "<f4", (2,)),
    ("score", "<f4", ()),
    ("label", "<i2", ()),  # key in the table classes, -1 for none
    ("origin", "<i2", ()),  # key in the table origins: who found it
    ("annotator", "<i2", ()),  # key in the table annotators: who answered last; -1 for nobody
    ("status", "|u1", ()),
    ("reading", "|u1", ()),  # 0 is the truth; others are second readings
)


class NucleiTable:
    """Columns with room to grow; the first `size` rows are filled."""

    def __init__(self, classes: int) -> None:
        self.size = 0
        self.columns: dict[str, NDArray[Any]] = {
            name: np.zeros((0, *shape), dtype) for name, dtype, shape in LAYOUT
        }
        self.columns["prob"] = np.zeros((0, classes), "<f4")
        self.counts = np.zeros((4, classes + 1), np.int64)
        """Nuclei of the first reading by status and class key; the last column is "none"."""
        self.dirty: set[int] = set()
        """Pages that differ from those on disk."""
        self._grid = TileGrid()

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name][: self.size]

    @property
    def classes(self) -> int:
        """Classes that there is room for."""
        return int(self.columns["prob"].shape[1])

    def in_region(self, region: Any) -> NDArray[np.int32]:
        """Rows in a `Region`, deleted ones included."""
        return self._grid.query(region, self["yx"])

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each id, -1 where the table does not hold it; ids ascend with the rows."""
        known = self["id"]
        rows = np.searchsorted(known, ids)
        there = rows < self.size
        there[there] = known[rows[there]] == ids[there]
        return np.where(there, rows, -1)

    def append(self, rows: Mapping[str, Any], count: int) -> NDArray[np.int64]:
        """New rows, still `DELETED`; a change of status brings them to life."""
        first, end = self.size, self.size + count
        self._reserve(end)
        for name in self.columns:
            self.columns[name][first:end] = rows.get(name, np.nan if name == "prob" else 0)
        self.columns["status"][first:end] = DELETED
        self.size = end
        new = np.arange(first, end)
        self._grid.touch(new)
        self._mark(new)
        return new

    def truncate(self, size: int) -> None:
        """Drop rows that were appended and not written."""
        self.size = size
        self._grid.truncate(size)

    def assign(self, rows: NDArray[np.integer], values: Mapping[str, NDArray[Any]]) -> None:
        """Set columns of `rows`; values of one row are spread over all."""
        self._tally(rows, -1)
        for name, value in values.items():
            if name == "prob":  # of classes that were added since, a model gave no chance
                known = value.shape[1]
                self.columns[name][rows, :known] = value
                rest = np.where(np.isnan(value[:, :1]), np.nan, 0) if known else np.nan
                self.columns[name][rows, known:] = rest
            else:
                self.columns[name][rows] = value
        self._tally(rows, +1)
        if "yx" in values:
            self._grid.touch(rows)
        self._mark(rows)

    def set_classes(self, classes: int) -> None:
        """Make room for classes that were added.

        Room is never taken away: where adding a class is undone, the probabilities of it stay
        for as long as that may be done again.
        """
        old = self.columns["prob"]
        missing = classes - old.shape[1]
        if missing <= 0:
            return
        # Models that did not know the class gave it no chance; nobody asked is NaN.
        fill = np.where(np.isnan(old[:, :1]), np.nan, 0) if old.shape[1] else np.nan
        extra = np.full((len(old), missing), fill, np.float32)
        self.columns["prob"] = np.concatenate([old, extra], axis=1)
        self.counts = np.insert(self.counts, [-1] * missing, 0, axis=1)

    def page(self, number: int) -> tuple[int, bytes, int, bytes | None, int]:
        """count, data, classes, prob, crc of a page, as stored."""
        rows = slice(number * PAGE_ROWS, min((number + 1) * PAGE_ROWS, self.size))
        data = b"".join(self.columns[name][rows].tobytes() for name, _, _ in LAYOUT)
        prob = self.columns["prob"][rows]
        packed = None if np.isnan(prob).all() else prob.tobytes()
        crc = zlib.crc32(packed or b"", zlib.crc32(data))
        return rows.stop - rows.start, data, prob.shape[1], packed, crc

    def load(self, pages: list[tuple[int, int, bytes, int, bytes | None, int]], of: str) -> None:
        """Fill an empty table with rows (page, count, data, classes, prob, crc).

        Raises
        ------
        ProjectError
            Where a page is missing or damaged.
        """
        total = sum(count for _, count, *_ in pages)
        # A page may know a class more than the project: one whose adding was undone.
        self.set_classes(max((classes for _, _, _, classes, *_ in pages), default=0))
        self._reserve(total)
        for expected, (page, count, data, classes, prob, crc) in enumerate(pages):
            full = expected == len(pages) - 1 or count == PAGE_ROWS
            if page != expected or not full or zlib.crc32(prob or b"", zlib.crc32(data)) != crc:
                raise ProjectError(
                    f"Page {expected} of the nuclei of {of} is damaged. "
                    "Open one of the project's backups."
                )
            first, offset = page * PAGE_ROWS, 0
            for name, dtype, shape in LAYOUT:
                values = count * int(np.prod(shape, dtype=int))
                column = np.frombuffer(data, dtype, values, offset)
                self.columns[name][first : first + count] = column.reshape(count, *shape)
                offset += column.nbytes
            self.columns["prob"][first : first + count] = np.nan
            if prob is not None:
                stored = np.frombuffer(prob, "<f4").reshape(count, classes)
                self.columns["prob"][first : first + count, :classes] = stored
                new = np.where(np.isnan(stored[:, :1]), np.nan, 0)
                self.columns["prob"][first : first + count, classes:] = new
        self.size = total
        rows = np.arange(total)
        self._tally(rows, +1)
        self._grid.touch(rows)
        self._grid.sort(self["yx"])

    def _tally(self, rows: NDArray[np.integer], sign: int) -> None:
        counted = rows[(self["reading"][rows] == 0) & (self["status"][rows] != DELETED)]
        width = self.counts.shape[1]
        label = self["label"][counted].astype(np.int64) % width  # -1 is the last column
        flat = self["status"][counted].astype(np.int64) * width + label
        self.counts += sign * np.bincount(flat, minlength=4 * width).reshape(4, width)

    def _mark(self, rows: NDArray[np.integer]) -> None:
        if len(rows) == 1:
            self.dirty.add(int(rows[0]) // PAGE_ROWS)
        else:
            self.dirty.update(np.unique(rows // PAGE_ROWS).tolist())

    def _reserve(self, size: int) -> None:
        if size <= len(self.columns["id"]):
            return
        capacity = size + max(size // 4, 4 * PAGE_ROWS)
        for name, old in self.columns.items():
            grown = np.zeros((capacity, *old.shape[1:]), old.dtype)
            grown[: self.size] = old[: self.size]
            self.columns[name] = grown
