"""Edits of a project: committed before they return, grouped, undone and redone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_nucbudget.errors import PointsError, ProjectError
from napari_nucbudget.project.declaring import DeclaringStore
from napari_nucbudget.project.journal import CHANGES, RowsChange
from napari_nucbudget.project.table import (
    ACCEPTED,
    DELETED,
    PROPOSED,
    REJECTED,
    NucleiTable,
)
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

__all__ = ["ProjectStore"]


class ProjectStore(DeclaringStore):
    """A project file that is open. See `open_project`.

    Each method that changes something is one transaction: when it returns, the edit is
    on disk; when it raises, neither disk nor memory has changed. Numbers of nuclei that
    were changed are returned; 0 means that there was nothing to do, and no undo step.
    """

    # -- adding

    def add(
        self,
        image: int,
        yx: ArrayLike,
        class_name: str = "",
        *,
        score: ArrayLike = 1.0,
        reading: int = 0,
    ) -> NDArray[np.int64]:
        """Dots that a person set at (2,) or (N, 2) level-0 pixels; gives their ids back.

        Raises
        ------
        PointsError
            Where one lies outside the image.
        ConfigError
            Where the class is not in the scheme.
        """
        with self._guard:
            label = self.classes.index(class_name)
            points = np.atleast_2d(np.asarray(yx, np.float32))
            nuclei = Nuclei.from_points(points, score=score, label=label, classes=self.classes)
            return self.insert(image, nuclei, reading=reading, doing="add")

    def paste(self, image: int, nuclei: Nuclei, *, reading: int = 0) -> NDArray[np.int64]:
        """Copies of nuclei as dots of the person who pastes; gives their new ids back."""
        human = np.full(len(nuclei), HUMAN, object)
        copies = Nuclei(
            nuclei.yx, nuclei.score, nuclei.label, human, nuclei.id, nuclei.prob, nuclei.classes
        )
        return self.insert(image, copies, reading=reading, doing="paste")

    def insert(
        self, image: int, nuclei: Nuclei, *, reading: int = 0, doing: str = "import"
    ) -> NDArray[np.int64]:
        """Nuclei of another table: those of origin ``human`` as dots, the others as proposals.

        Their ids are not kept. Classes are found by name.

        Raises
        ------
        PointsError
            Where one lies outside the image.
        ConfigError
            Where a class is not in the scheme; `add_class` adds it.
        """
        with self._guard:
            if not len(nuclei):
                return np.zeros(0, np.int64)
            table = self._table(image)
            change, size = self._appended(image, table, nuclei, reading)
            label = f"{doing} {_count(len(nuclei))}"
            self._commit(label, [change], sizes={image: size})
            return table["id"][size:].copy()

    def add_proposals(
        self,
        image: int,
        nuclei: Nuclei,
        *,
        region: Region | None = None,
        apart_px: float = 0.0,
    ) -> NDArray[np.int64]:
        """The result of a detector run; it replaces the unanswered proposals in `region`.

        Parameters
        ----------
        image : int
        nuclei : Nuclei
            Whose `origin` is the model's name.
        region : Region, optional
            What the detector looked at, default the whole image; all `nuclei` lie in it.
        apart_px : float
            Proposals at most so far from a nucleus that a person set, accepted or rejected are
            left out, so that no answer is asked for twice. Give the detector's minimum
            distance.

        Returns
        -------
        (K,) int64
            Ids of the new proposals.
        """
        with self._guard:
            table = self._table(image)
            if region is not None and not region.contains(nuclei.yx).all():
                outside = int((~region.contains(nuclei.yx)).sum())
                raise PointsError(f"{outside} proposals lie outside the region {region}.")
            if (nuclei.origin == HUMAN).any():
                raise PointsError("Proposals need the name of their model as origin, not 'human'.")
            if apart_px > 0 and len(nuclei):
                nuclei = nuclei.select(~self._answered(table, nuclei.yx, apart_px))
            old = self._rows(table, region, (PROPOSED,), 0).astype(np.int64)
            changes, size = [], table.size
            if len(old):
                changes.append(self._state.changed(image, old, status=DELETED))
            if len(nuclei):
                change, size = self._appended(image, table, nuclei, 0)
                changes.append(change)
            if changes:
                self._commit(f"propose {_count(len(nuclei))}", changes, sizes={image: size})
            return table["id"][size:].copy() if len(nuclei) else np.zeros(0, np.int64)

    # -- changing

    def move(self, ids: ArrayLike, yx: ArrayLike) -> int:
        """Put nuclei elsewhere, (N, 2) level-0 pixels; a moved proposal counts as accepted.

        Raises
        ------
        PointsError
            Where an id is not there or given twice, or a place lies outside the image.
        """
        with self._guard:
            wanted = np.atleast_1d(np.asarray(ids, np.int64))
            places = np.atleast_2d(np.asarray(yx, np.float32))
            if len(np.unique(wanted)) != len(wanted) or places.shape != (len(wanted), 2):
                raise PointsError(
                    f"{len(wanted)} nuclei are to be moved to {len(places)} places: give one "
                    "(y, x) for each id, and each id once."
                )
            if not len(wanted):
                return 0
            order = np.argsort(wanted)
            changes = []
            for image, rows in self._locate(wanted):
                table = self._state.tables[image]
                which = order[np.searchsorted(wanted[order], table["id"][rows])]
                self._check_inside(image, places[which])
                changes.append(self._answered_change(image, rows, yx=places[which]))
            self._commit(f"move {_count(len(wanted))}", changes)
            return len(wanted)

    def delete(self, ids: ArrayLike) -> int:
        """Take nuclei away. Those that a model found count as rejected from now on."""
        with self._guard:
            changes = []
            for image, rows in self._locate(np.asarray(ids, np.int64)):
                table = self._state.tables[image]
                rows = rows[table["status"][rows] != REJECTED]
                status = np.where(table["origin"][rows] == 0, DELETED, REJECTED)
                changes.append(self._answered_change(image, rows, status=status))
            return self._commit_rows("delete", changes)

    def clear(self, image: int, *, reading: int = 0) -> int:
        """Take all nuclei of an image away, without a word on whether they were nuclei."""
        with self._guard:
            rows = self._rows(self._table(image), None, (PROPOSED, ACCEPTED), reading)
            change = self._state.changed(image, rows.astype(np.int64), status=DELETED)
            return self._commit_rows("clear", [change])

    def relabel(self, ids: ArrayLike, class_name: str) -> int:
        """Give nuclei a class, ``""`` for none; proposals count as accepted then."""
        with self._guard:
            key = self._class_key(class_name)
            changes = []
            for image, rows in self._locate(np.asarray(ids, np.int64)):
                table = self._state.tables[image]
                same = (table["label"][rows] == key) & (table["status"][rows] == ACCEPTED)
                changes.append(self._answered_change(image, rows[~same], label=key))
            return self._commit_rows("relabel", changes)

    def retype(self, image: int, nuclei: Nuclei) -> int:
        """Classes and probabilities that a classifier gave to proposals, known by their ids.

        Those that a person has answered meanwhile are left as they are.
        """
        with self._guard:
            table = self._table(image)
            order = np.argsort(nuclei.id)
            rows = table.rows_of(nuclei.id[order])
            open_ = np.flatnonzero((rows >= 0) & (table["status"][rows] == PROPOSED))
            label, prob = self._typed(nuclei.select(order[open_]))
            change = self._state.changed(image, rows[open_], label=label, prob=prob)
            return self._commit_rows("type", [change])

    # -- answering proposals

    def accept(self, ids: ArrayLike) -> int:
        """Proposals, or rejected ones, that are nuclei."""
        return self._answer(ids, ACCEPTED, (PROPOSED, REJECTED), "accept")

    def reject(self, ids: ArrayLike) -> int:
        """Proposals that are no nuclei; they are kept and not proposed again."""
        return self._answer(ids, REJECTED, (PROPOSED,), "reject")

    def accept_all(
        self,
        image: int,
        region: Region | None = None,
        *,
        min_score: float = 0.0,
        class_name: str | None = None,
    ) -> int:
        """Accept every unanswered proposal, or those in a region, above a score, of a class."""
        with self._guard:
            ids = self.proposals(image, region, min_score=min_score, class_name=class_name)
            return self.accept(ids)

    def reject_all(
        self,
        image: int,
        region: Region | None = None,
        *,
        min_score: float = 0.0,
        class_name: str | None = None,
    ) -> int:
        """Reject every unanswered proposal, or those in a region, above a score, of a class."""
        with self._guard:
            ids = self.proposals(image, region, min_score=min_score, class_name=class_name)
            return self.reject(ids)

    # -- undo

    @property
    def undo_label(self) -> str | None:
        """What `undo` would take back, such as ``relabel 12 nuclei``; None for nothing."""
        return self._history.done[-1].label if self._history.done else None

    @property
    def redo_label(self) -> str | None:
        """What `redo` would do again; None for nothing."""
        return self._history.undone[-1].label if self._history.undone else None

    def undo(self) -> str | None:
        """Take the last step back, of this session or of one before; gives its label."""
        return self._replay("undo")

    def redo(self) -> str | None:
        """Do again what was undone last; gives its label. Any other edit ends that."""
        return self._replay("redo")

    def _replay(self, kind: Any) -> str | None:
        with self._guard:
            if self._group is not None:
                raise ProjectError("Undo and redo are not possible within a group of edits.")
            stack = self._history.done if kind == "undo" else self._history.undone
            if not stack:
                return None
            step = stack[-1]
            rows = self._open_connection().execute(
                "SELECT c.kind, c.image, c.payload FROM changes c JOIN edits e ON e.id = c.edit "
                "WHERE e.step = ? AND e.kind = 'edit' ORDER BY c.edit, c.part",
                (step.number,),
            )
            changes = [CHANGES[what].from_payload(image, data) for what, image, data in rows]
            if kind == "undo":
                changes.reverse()
            self._commit(step.label, changes, kind=kind, target=step.number)
            return step.label

    # -- parts of edits

    def _answer(self, ids: ArrayLike, status: int, of: Sequence[int], doing: str) -> int:
        with self._guard:
            changes = []
            for image, rows in self._locate(np.asarray(ids, np.int64)):
                rows = rows[np.isin(self._state.tables[image]["status"][rows], of)]
                changes.append(self._answered_change(image, rows, status=status))
            return self._commit_rows(doing, changes, ("proposal", "proposals"))

    def _commit_rows(
        self,
        doing: str,
        changes: Sequence[RowsChange],
        words: tuple[str, str] = ("nucleus", "nuclei"),
    ) -> int:
        count = sum(len(change.rows) for change in changes)
        if count:
            filled = [change for change in changes if len(change.rows)]
            self._commit(f"{doing} {_count(count, *words)}", filled)
        return count

    def _answered_change(self, image: int, rows: NDArray[np.integer], **values: Any) -> RowsChange:
        """The same, by a person: it also accepts, unless `values` say another status."""
        answered = {"status": ACCEPTED, "annotator": self._annotator_key(), "time": time.time()}
        return self._state.changed(image, rows, **{**answered, **values})

    def _appended(
        self, image: int, table: NucleiTable, nuclei: Nuclei, reading: int
    ) -> tuple[RowsChange, int]:
        """New rows with the change that brings them to life; and the size before."""
        self._check_inside(image, nuclei.yx)
        if not 0 <= reading <= 255:
            raise PointsError(f"The number of a reading lies in 0 .. 255, got {reading}.")
        label, prob = self._typed(nuclei)
        names = nuclei.origin.tolist()
        keys = {name: self._origin_key(name) for name in dict.fromkeys(names)}
        origin = np.fromiter((keys[name] for name in names), np.int16, len(names))
        status = np.where(origin == 0, ACCEPTED, PROPOSED)
        size, first = table.size, self._state.next_id
        rows = table.append(
            {
                "id": np.arange(first, first + len(nuclei)),
                "time": time.time(),
                "yx": nuclei.yx,
                "score": nuclei.score,
                "label": label,
                "origin": origin,
                "annotator": np.where(origin == 0, self._annotator_key(), -1),
                "reading": reading,
                "prob": prob,
            },
            len(nuclei),
        )
        self._state.next_id = first + len(nuclei)
        return self._state.changed(image, rows, status=status), size

    def _typed(self, nuclei: Nuclei) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Class keys, and probabilities with a column for each class that the project ever had."""
        used = set(np.unique(nuclei.label).tolist()) - {-1}
        if nuclei.prob is not None:
            used = set(range(len(nuclei.classes)))
        keys = np.full(len(nuclei.classes) + 1, -1, np.int16)
        for label in used:
            keys[label] = self._class_key(nuclei.classes.name(label))
        prob = np.full((len(nuclei), self._state.width), np.nan, np.float32)
        if nuclei.prob is not None:
            asked = np.asarray(np.isfinite(nuclei.prob).all(axis=1))
            prob[asked] = 0
            prob[:, keys[:-1]] = np.where(asked[:, None], nuclei.prob, np.nan)
        return keys[nuclei.label], prob

    def _answered(
        self, table: NucleiTable, yx: NDArray[np.float32], radius: float
    ) -> NDArray[np.bool_]:
        """Which points lie within `radius` of a nucleus that a person has answered."""
        from scipy.spatial import cKDTree

        answered = np.isin(table["status"], (ACCEPTED, REJECTED)) & (table["reading"] == 0)
        if not answered.any():
            return np.zeros(len(yx), np.bool_)
        distance, _ = cKDTree(table["yx"][answered]).query(yx, distance_upper_bound=radius * 1.001)
        return np.asarray(distance <= radius, np.bool_)

    def _check_inside(self, image: int, yx: NDArray[np.float32]) -> None:
        height, width = self.image(image).shape
        outside = int((~Region(0, 0, height, width).contains(yx)).sum())
        if outside:
            raise PointsError(
                f"{outside} of {len(yx)} points lie outside the image {self.image(image).name!r} "
                f"of {height} x {width} pixels. Nothing was changed."
            )


def _count(number: int, one: str = "nucleus", more: str = "nuclei") -> str:
    return f"{number:,} {one if number == 1 else more}"
