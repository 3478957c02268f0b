"""The one table of points: proposals, human dots and ground truth alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_nucbudget.errors import PointsError
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HUMAN", "Nuclei"]

HUMAN = "human"
"""The origin of a dot that a person set or confirmed; any other origin is a model's name."""
ROUNDING = 1e-3
"""How far a probability in a table may lie outside 0 .. 1."""


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei of one image as a struct of arrays; never changed in place.

    Attributes
    ----------
    yx : (N, 2) float32
        Centroids in level-0 pixels, pixel centres at whole numbers (napari's convention).
    score : (N,) float32
        Height of the proximity map at the peak, in [0, 1]; 1 for human dots.
    label : (N,) int16
        Index into `classes`; -1 where no class was given.
    prob : (N, C) float32 or None
        Class probabilities.
    origin : (N,) object
        Name of the model that proposed the nucleus, or ``"human"``.
    id : (N,) int64
        Unique within the table.
    classes : ClassScheme
    """

    yx: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int16]
    origin: NDArray[np.object_]
    id: NDArray[np.int64]
    prob: NDArray[np.float32] | None = None
    classes: ClassScheme = DEFAULT_CLASSES

    def __post_init__(self) -> None:
        n = len(self.yx)
        if self.yx.shape != (n, 2):
            raise PointsError(f"Nuclei need (N, 2) coordinates, got shape {self.yx.shape}.")
        if n and not np.isfinite(self.yx).all():
            bad = int((~np.isfinite(self.yx).all(axis=1)).sum())
            raise PointsError(f"{bad} of {n} nuclei have coordinates that are not numbers.")
        for column in ("score", "label", "origin", "id"):
            length = len(getattr(self, column))
            if length != n:
                raise PointsError(f"{n} nuclei, but {length} values of {column!r}.")
        if n and not ((self.score >= 0) & (self.score <= 1)).all():
            raise PointsError(
                "Scores must lie in 0 .. 1, "
                f"got {float(self.score.min()):g} .. {float(self.score.max()):g}."
            )
        if self.prob is not None and self.prob.shape != (n, len(self.classes)):
            raise PointsError(
                f"Probabilities have shape {self.prob.shape}, expected {(n, len(self.classes))}."
            )
        if n and (self.label.max() >= len(self.classes) or self.label.min() < -1):
            raise PointsError(
                f"Labels must lie in -1 .. {len(self.classes) - 1}, "
                f"got {int(self.label.min())} .. {int(self.label.max())}."
            )

    @classmethod
    def from_points(
        cls,
        yx: ArrayLike,
        *,
        score: ArrayLike = 1.0,
        label: ArrayLike = -1,
        origin: str | Sequence[str] = HUMAN,
        id: ArrayLike | None = None,
        prob: ArrayLike | None = None,
        classes: ClassScheme = DEFAULT_CLASSES,
    ) -> Nuclei:
        """Table from (N, 2) coordinates (y, x); scalars are spread over all rows.

        What is given is copied, and may be changed afterwards.

        Raises
        ------
        PointsError
            Where columns differ in length, ids are no whole numbers or not unique, labels are
            no whole numbers of a class, or scores or probabilities lie outside 0 .. 1.
        """
        points = np.array(yx, dtype=np.float32)
        if points.size == 0:
            points = points.reshape(0, 2)
        if points.ndim != 2 or points.shape[1] != 2:
            raise PointsError(f"Nuclei need (N, 2) coordinates, got shape {points.shape}.")
        n = len(points)
        for column, values in (("score", score), ("label", label), ("origin", origin)):
            length = n if np.ndim(values) == 0 else len(np.asarray(values))
            if length != n:
                raise PointsError(f"{n} nuclei, but {length} values of {column!r}.")
        origins = np.empty(n, dtype=object)
        origins[:] = origin
        label = _whole_numbers(label, "Labels")
        if n and (label.max() >= len(classes) or label.min() < -1):
            raise PointsError(
                f"Labels must lie in -1 .. {len(classes) - 1}, got {label.min()} .. {label.max()}."
            )
        ids = np.arange(n, dtype=np.int64) if id is None else _whole_numbers(id, "Ids")
        if len(np.unique(ids)) != len(ids):
            raise PointsError("Two nuclei have the same id; ids must differ, or be left out.")
        probs = None if prob is None else np.array(prob, dtype=np.float32)
        if probs is not None and ((probs < -ROUNDING) | (probs > 1 + ROUNDING)).any():
            raise PointsError("A probability (p_...) lies outside 0 .. 1.")
        return cls(
            yx=points,
            score=np.broadcast_to(np.asarray(score, dtype=np.float32), n).copy(),
            label=np.broadcast_to(np.asarray(label, dtype=np.int16), n).copy(),
            origin=origins,
            id=ids,
            prob=probs,
            classes=classes,
        )

    @classmethod
    def empty(cls, classes: ClassScheme = DEFAULT_CLASSES) -> Nuclei:
        return cls.from_points(np.zeros((0, 2)), classes=classes)

    @classmethod
    def concat(cls, parts: Sequence[Nuclei]) -> Nuclei:
        """One table of several with the same classes; ids are numbered anew where they clash."""
        if not parts:
            return cls.empty()
        classes = parts[0].classes
        if any(p.classes != classes for p in parts):
            raise PointsError("Tables with different classes cannot be joined.")
        ids = np.concatenate([p.id for p in parts])
        if len(np.unique(ids)) != len(ids):
            ids = np.arange(len(ids), dtype=np.int64)
        filled = [p for p in parts if len(p)]
        known = [p.prob for p in filled if p.prob is not None]
        return cls(
            yx=np.concatenate([p.yx for p in parts]),
            score=np.concatenate([p.score for p in parts]),
            label=np.concatenate([p.label for p in parts]),
            origin=np.concatenate([p.origin for p in parts]),
            id=ids,
            prob=np.concatenate(known) if known and len(known) == len(filled) else None,
            classes=classes,
        )

    def __len__(self) -> int:
        return len(self.yx)

    def select(self, which: NDArray[Any]) -> Nuclei:
        """Rows of a boolean mask or an index array."""
        return replace(
            self,
            yx=self.yx[which],
            score=self.score[which],
            label=self.label[which],
            origin=self.origin[which],
            id=self.id[which],
            prob=None if self.prob is None else self.prob[which],
        )

    def above(self, threshold: float) -> Nuclei:
        """Nuclei whose score is at least `threshold`."""
        return self.select(self.score >= np.float32(threshold))

    def shifted(self, dy: float, dx: float) -> Nuclei:
        """The same nuclei with the coordinates moved by (dy, dx) pixels."""
        return replace(self, yx=self.yx + np.array([dy, dx], dtype=np.float32))

    def mapped(self, scale: float) -> Nuclei:
        """Coordinates in a grid whose pixels are `scale` times finer (pixel centres kept)."""
        return replace(self, yx=((self.yx + 0.5) * scale - 0.5).astype(np.float32))

    def counts(self) -> dict[str, int]:
        """Number of nuclei per class name, with ``unlabelled`` last where there are any."""
        found = {name: int((self.label == i).sum()) for i, name in enumerate(self.classes.names)}
        without = int((self.label < 0).sum())
        return {**found, self.classes.name(-1): without} if without else found

    def to_frame(self) -> pd.DataFrame:
        """pandas table with columns id, y, x, score, label, origin (and ``p_<class>``)."""
        import pandas as pd

        frame = pd.DataFrame(
            {
                "id": self.id,
                "y": self.yx[:, 0],
                "x": self.yx[:, 1],
                "score": self.score,
                "label": self.classes.to_names(self.label),
                "origin": self.origin,
            }
        )
        if self.prob is not None:
            for i, name in enumerate(self.classes.names):
                frame[f"p_{name}"] = self.prob[:, i]
        return frame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, classes: ClassScheme = DEFAULT_CLASSES) -> Nuclei:
        """Inverse of `to_frame`; only y and x must be present.

        Raises
        ------
        PointsError
            Where a column is missing or holds something else than numbers, or an id
            is given twice.
        """
        missing = [c for c in ("y", "x") if c not in frame.columns]
        if missing:
            raise PointsError(
                f"The table has no column {' or '.join(map(repr, missing))}; "
                f"its columns are {list(map(str, frame.columns))}."
            )
        try:
            yx = frame[["y", "x"]].to_numpy(dtype=np.float64)
            score = frame["score"].to_numpy(np.float32) if "score" in frame else np.float32(1)
            ids = _whole(frame["id"]) if "id" in frame else None
        except (TypeError, ValueError, OverflowError) as error:
            raise PointsError(f"A coordinate, score or id is not a number: {error}.") from error
        label: ArrayLike = -1
        if "label" in frame:
            names = frame["label"].astype(object).fillna("").astype(str)
            index = {name: classes.index(name) for name in names.unique()}
            label = names.map(index).to_numpy(np.int16)
        origin: Any = HUMAN
        if "origin" in frame:
            origin = frame["origin"].astype(object).fillna(HUMAN).replace("", HUMAN).to_numpy()
        columns = [f"p_{name}" for name in classes.names]
        prob = frame[columns].to_numpy(np.float32) if set(columns) <= set(frame) else None
        return cls.from_points(
            yx, score=score, label=label, origin=origin, id=ids, prob=prob, classes=classes
        )


def _whole(column: pd.Series[Any]) -> NDArray[np.int64]:
    """Ids as they are; none may be missing, broken or above 63 bits."""
    values = column.to_numpy()
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise PointsError("A row has no id; give every row one, or leave the column out.")
        if (values != np.floor(values)).any() or (np.abs(values) > 2**53).any():
            raise PointsError("An id is not a whole number; ids may also be left out.")
    if values.dtype.kind == "u" and len(values) and values.max() > np.iinfo(np.int64).max:
        raise PointsError("An id has more than 63 bits; ids may also be left out.")
    return values.astype(np.int64)


def _whole_numbers(values: ArrayLike, what: str) -> NDArray[np.int64]:
    """A copy as int64; floats and objects where they hold nothing else.

    Raises
    ------
    PointsError
        Where they do not.
    """
    given = np.asarray(values)
    try:
        whole = given.astype(np.int64)
        same = not given.size or bool(np.all(whole == given))
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same or given.dtype.kind in "Mm":
        raise PointsError(f"{what} must be whole numbers of at most 64 bits.")
    return whole
