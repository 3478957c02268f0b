"""What an edit changed, as it is kept for undo and redo.

Every edit is a list of changes, and every change knows both the values before
and those after, for the columns that it touches alone. Undo applies the former,
redo the latter. In the file ``edits`` only grows: an undo is a row that names the
step it undoes, and reading the rows in order gives the two stacks back, see
`History`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Change", "ClassRow", "ClassesChange", "FieldChange", "History", "RowsChange", "Step"]


@dataclass(frozen=True)
class ClassRow:
    """A class as the project stores it; its key never changes and is never used again."""

    key: int
    name: str
    color: str
    shortcut: str
    position: int | None
    """Place in the scheme, None once removed."""


@dataclass(frozen=True, eq=False)
class RowsChange:
    """Columns of some nuclei of an image, before and after; one value stands for all rows."""

    image: int
    rows: NDArray[np.int64]
    before: Mapping[str, NDArray[Any]]
    after: Mapping[str, NDArray[Any]]
    kind = "nuclei"

    def payload(self) -> bytes:
        ascending = len(self.rows) and bool((np.diff(self.rows) == 1).all())
        ends = [self.rows[0], self.rows[-1] + 1] if ascending else []
        arrays = {"range": np.array(ends, np.int64)} if ascending else {"rows": self.rows}
        for side in ("before", "after"):
            for name, values in getattr(self, side).items():
                arrays[f"{side}.{name}"] = _shortened(values)
        return _pack(arrays)

    @classmethod
    def from_payload(cls, image: int, payload: bytes) -> RowsChange:
        arrays = _unpack(payload)
        rows = np.arange(*arrays["range"]) if "range" in arrays else arrays["rows"]
        sides: dict[str, dict[str, NDArray[Any]]] = {"before": {}, "after": {}}
        for key, values in arrays.items():
            side, _, name = key.partition(".")
            if name:
                sides[side][name] = values
        return cls(image, rows, sides["before"], sides["after"])


@dataclass(frozen=True)
class FieldChange:
    """A field that was drawn (after is True) or taken away (before is True)."""

    image: int
    field: int
    before: bool
    after: bool
    kind = "field"

    def payload(self) -> bytes:
        return json.dumps([self.field, self.before, self.after]).encode()

    @classmethod
    def from_payload(cls, image: int, payload: bytes) -> FieldChange:
        return cls(image, *json.loads(payload))


@dataclass(frozen=True)
class ClassesChange:
    """All classes that the project ever had, before and after."""

    before: tuple[ClassRow, ...]
    after: tuple[ClassRow, ...]
    kind = "classes"
    image = None

    def payload(self) -> bytes:
        sides = [[asdict(row) for row in side] for side in (self.before, self.after)]
        return json.dumps(sides).encode()

    @classmethod
    def from_payload(cls, image: int | None, payload: bytes) -> ClassesChange:
        before, after = (tuple(ClassRow(**row) for row in side) for side in json.loads(payload))
        return cls(before, after)


Change = RowsChange | FieldChange | ClassesChange
CHANGES: Mapping[str, Any] = {c.kind: c for c in (RowsChange, FieldChange, ClassesChange)}


@dataclass(frozen=True)
class Step:
    """Edits that are undone together."""

    number: int
    label: str


class History:
    """The stacks of undo and redo, from the rows of ``edits`` in their order."""

    def __init__(self, edits: Iterable[tuple[int, str, int | None, str]] = ()) -> None:
        self.done: list[Step] = []
        self.undone: list[Step] = []
        for step, kind, target, label in edits:
            self.record(kind, step, target, label)

    def record(self, kind: str, step: int, target: int | None, label: str) -> None:
        """Take note of one row."""
        if kind == "undo":
            self.undone.append(self.done.pop())
        elif kind == "redo":
            self.done.append(self.undone.pop())
        else:
            self.undone.clear()
            if not (self.done and self.done[-1].number == step):
                self.done.append(Step(step, label))


Kind = Literal["edit", "undo", "redo"]


def _shortened(values: NDArray[Any]) -> NDArray[Any]:
    """One row where all rows are the same."""
    if len(values) > 1 and (values == values[0]).all():
        return values[:1]
    return values


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    header = [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()]
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + b"".join(a.tobytes() for a in arrays.values())


def _unpack(payload: bytes) -> dict[str, NDArray[Any]]:
    (length,) = struct.unpack_from("<I", payload)
    offset = 4 + length
    arrays = {}
    for name, dtype, shape in json.loads(payload[4:offset]):
        count = int(np.prod(shape, dtype=int))
        arrays[name] = np.frombuffer(payload, dtype, count, offset).reshape(shape)
        offset += arrays[name].nbytes
    return arrays
