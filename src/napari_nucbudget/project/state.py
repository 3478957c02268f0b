"""A project in memory: what every query reads, and the mirror of what is on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.project.images import Fingerprint, ProjectImage
from napari_nucbudget.project.journal import (
    Change,
    ClassesChange,
    ClassRow,
    FieldChange,
    RowsChange,
)
from napari_nucbudget.project.table import NucleiTable
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import HUMAN

__all__ = ["IMAGE_COLUMNS", "Field", "ProjectState", "image_from_row", "write_classes"]

IMAGE_COLUMNS = (
    *("id", "name", "path", "absolute", "header_sha256", "bytes", "height", "width", "mpp"),
    *("patient", "tissue", "split"),
)


@dataclass(frozen=True)
class Field:
    """A region whose nuclei all have a dot, says `annotator`."""

    id: int
    image: int
    region: Region
    annotator: str
    time: float


class ProjectState:
    """Everything that queries need, loaded once and changed with the file."""

    def __init__(self) -> None:
        self.images: dict[int, ProjectImage] = {}
        self.tables: dict[int, NucleiTable] = {}
        self.fields: dict[int, Field] = {}
        """Every field that was ever drawn; `alive` says which of them stand."""
        self.alive: set[int] = set()
        self.classes: tuple[ClassRow, ...] = ()
        self.origins: list[str] = [HUMAN]
        self.annotators: list[str] = []
        self.next_id = 1
        self._dirty_fields: set[int] = set()
        self._dirty_classes = False

    @classmethod
    def load(cls, connection: sqlite3.Connection, path: Path) -> ProjectState:
        """Read a project; `path` is for messages.

        Raises
        ------
        ProjectError
            Where a page of nuclei is damaged.
        """
        state = cls()
        read = connection.execute
        state.annotators = [row[0] for row in read("SELECT name FROM annotators ORDER BY key")]
        state.origins = [row[0] for row in read("SELECT name FROM origins ORDER BY key")]
        columns = "key, name, color, shortcut, position"
        rows = read(f"SELECT {columns} FROM classes ORDER BY key")
        state.classes = tuple(ClassRow(*row) for row in rows)
        for row in read(f"SELECT {', '.join(IMAGE_COLUMNS)} FROM images ORDER BY id"):
            state.images[row[0]] = image_from_row(row)
        for id, image, y, x, height, width, annotator, time_s, alive in read(
            "SELECT id, image, y, x, height, width, annotator, time, alive FROM fields"
        ):
            region = Region(y, x, height, width)
            state.fields[id] = Field(id, image, region, state.annotators[annotator], time_s)
            if alive:
                state.alive.add(id)
        for image in state.images.values():
            table = state.tables[image.id] = NucleiTable(len(state.classes))
            pages = read(
                "SELECT page, count, data, classes, prob, crc FROM nuclei WHERE image = ? "
                "ORDER BY page",
                (image.id,),
            ).fetchall()
            if pages:
                table.load(pages, of=f"{image.name!r} in {path}")
                state.next_id = max(state.next_id, int(table["id"][-1]) + 1)
        width = state.width
        for table in state.tables.values():
            table.set_classes(width)
        return state

    @property
    def width(self) -> int:
        """Classes that the tables have room for: all that there were, undone ones included."""
        return max([len(self.classes), *(table.classes for table in self.tables.values())])

    @property
    def scheme(self) -> ClassScheme:
        """The classes in use, in their order."""
        return ClassScheme(
            tuple(NucleusClass(row.name, row.color, row.shortcut) for row in self._in_use())
        )

    @property
    def scheme_keys(self) -> NDArray[np.int16]:
        """Key of each class in use, in the order of `scheme`, then -1 for "none"."""
        return np.array([*(row.key for row in self._in_use()), -1], np.int16)

    def labels(self, keys: NDArray[np.int16]) -> NDArray[np.int16]:
        """Labels of class keys: -1 for -1."""
        lookup = np.full(len(self.classes) + 1, -1, np.int16)
        used = self.scheme_keys[:-1]
        lookup[used] = np.arange(len(used))
        return lookup[keys]

    def changed(self, image: int, rows: NDArray[np.integer], **values: Any) -> RowsChange:
        """Change of columns of `rows` from what they hold now; a scalar is for all rows."""
        columns = self.tables[image]
        after = {}
        for name, value in values.items():
            array = np.asarray(value, columns[name].dtype)
            after[name] = array.reshape(1) if array.ndim == 0 else array
        before = {name: columns[name][rows] for name in values}
        return RowsChange(image, rows.astype(np.int64), before, after)

    def apply(self, change: Change, *, forward: bool) -> None:
        """Set what `change` says, the values after it or those before it."""
        if isinstance(change, ClassesChange):
            self.set_classes(change.after if forward else change.before)
            self._dirty_classes = True
        elif isinstance(change, FieldChange):
            stands = change.after if forward else change.before
            (self.alive.add if stands else self.alive.discard)(change.field)
            self._dirty_fields.add(change.field)
        else:
            values = change.after if forward else change.before
            self.tables[change.image].assign(change.rows, values)

    def set_classes(self, classes: tuple[ClassRow, ...]) -> None:
        """Replace all classes, removed ones included."""
        self.classes = classes
        for table in self.tables.values():
            table.set_classes(self.width)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what differs from the disk, in the open transaction."""
        for image, table in self.tables.items():
            connection.executemany(
                "INSERT INTO nuclei VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "count = excluded.count, data = excluded.data, classes = excluded.classes, "
                "prob = excluded.prob, crc = excluded.crc",
                ((image, number, *table.page(number)) for number in sorted(table.dirty)),
            )
        for id in sorted(self._dirty_fields):
            field = self.fields[id]
            r, who = field.region, self.annotators.index(field.annotator)
            connection.execute(
                "INSERT INTO fields VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET alive = excluded.alive",
                (id, field.image, r.y, r.x, r.height, r.width, who, field.time, id in self.alive),
            )
        if self._dirty_classes:
            write_classes(connection, self.classes)

    def written(self) -> None:
        """Memory and disk are equal now: after a commit, or after all was taken back."""
        for table in self.tables.values():
            table.dirty.clear()
        self._dirty_fields.clear()
        self._dirty_classes = False

    def _in_use(self) -> list[ClassRow]:
        used = [row for row in self.classes if row.position is not None]
        return sorted(used, key=lambda row: row.position or 0)


def write_classes(connection: sqlite3.Connection, classes: Iterable[ClassRow]) -> None:
    """Replace the table of classes."""
    connection.execute("DELETE FROM classes")
    connection.executemany(
        "INSERT INTO classes (key, name, color, shortcut, position) VALUES (?, ?, ?, ?, ?)",
        ((c.key, c.name, c.color, c.shortcut, c.position) for c in classes),
    )


def image_from_row(row: tuple[object, ...]) -> ProjectImage:
    """`ProjectImage` of the `IMAGE_COLUMNS` of a row."""
    id, name, path, absolute, sha256, size, height, width, mpp, patient, tissue, split = row
    seen = None if sha256 is None else Fingerprint(str(sha256), int(str(size)))
    return ProjectImage(
        id=int(str(id)),
        name=str(name),
        path=None if path is None else str(path),
        absolute=None if absolute is None else str(absolute),
        fingerprint=seen,
        shape=(int(str(height)), int(str(width))),
        mpp=None if mpp is None else float(str(mpp)),
        patient=str(patient),
        tissue=str(tissue),
        split=str(split),
    )
