"""What can be asked of a project: nuclei in a region, counts, fields, labels to train on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_nucbudget.core.polygon import inside_polygon
from napari_nucbudget.errors import LabelSetError, PointsError, ProjectError
from napari_nucbudget.project.images import FileState, ProjectImage, find
from napari_nucbudget.project.session import ProjectSession
from napari_nucbudget.project.state import Field
from napari_nucbudget.project.table import ACCEPTED, DELETED, PROPOSED, REJECTED, NucleiTable
from napari_nucbudget.types.classes import UNLABELLED, ClassScheme
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

__all__ = ["ClassCount", "NucleusFacts", "ProjectReader", "Reading", "Which"]

Which = Literal["visible", "proposed", "human", "accepted", "rejected"]
_STATUS = {
    "visible": (PROPOSED, ACCEPTED),
    "proposed": (PROPOSED,),
    "human": (ACCEPTED,),
    "accepted": (ACCEPTED,),
    "rejected": (REJECTED,),
}


@dataclass(frozen=True)
class ClassCount:
    """Nuclei of a class: proposals that nobody answered, and those a person set or accepted."""

    proposed: int
    human: int


@dataclass(frozen=True)
class NucleusFacts:
    """Where a nucleus comes from: who found it, who answered last and when."""

    id: int
    image: int
    status: Literal["proposed", "human", "rejected"]
    found_by: str
    annotator: str | None
    time: float


@dataclass(frozen=True, eq=False)
class Reading:
    """The dots of one reading of a field, 0 being the one that is trained on."""

    number: int
    annotators: tuple[str, ...]
    nuclei: Nuclei


class ProjectReader(ProjectSession):
    """Queries; they see every committed edit and nothing else, from any thread."""

    @property
    def classes(self) -> ClassScheme:
        with self._guard:
            return self._state.scheme

    @property
    def images(self) -> tuple[ProjectImage, ...]:
        with self._guard:
            return tuple(self._state.images.values())

    def image(self, id: int) -> ProjectImage:
        """The image with this id.

        Raises
        ------
        ProjectError
        """
        try:
            return self._state.images[id]
        except KeyError:
            known = ", ".join(f"{i.id} ({i.name})" for i in self.images) or "none"
            raise ProjectError(f"The project has no image {id!r}; it has: {known}.") from None

    def image_file(self, id: int) -> tuple[FileState, Path | None]:
        """``found``, ``changed``, ``missing`` or ``none`` (never had a file), and its path."""
        folders = [self.path.parent]
        with self._guard:
            row = self._open_connection().execute("SELECT value FROM meta WHERE key = 'home'")
            folders += [Path(home) for (home,) in row]
        return find(self.image(id), folders)

    def nuclei(
        self,
        image: int,
        region: Region | None = None,
        *,
        which: Which = "visible",
        ids: NDArray[np.int64] | None = None,
        reading: int = 0,
    ) -> Nuclei:
        """Nuclei of an image, as a copy.

        Parameters
        ----------
        image : int
        region : Region, optional
            Only those inside, found by the spatial index.
        which : {"visible", "proposed", "human", "accepted", "rejected"}
            ``visible`` are proposals and human ones; ``accepted`` are the human ones that a
            model had found.
        ids : (K,) int64, optional
            Only these, where they are there.
        reading : int
            0, or the number of a second reading.

        Returns
        -------
        Nuclei
            `origin` is ``human`` for what a person set, corrected or accepted, else the
            model's name. `prob` is None where no row has any; rows without have NaN.
        """
        with self._guard:
            table = self._table(image)
            rows = self._rows(table, region, _STATUS[which], reading)
            if which == "accepted":
                rows = rows[table["origin"][rows] != 0]
            if ids is not None:
                rows = rows[np.isin(table["id"][rows], ids)]
            return self._nuclei_of(table, rows)

    def proposals(
        self,
        image: int,
        region: Region | None = None,
        *,
        min_score: float = 0.0,
        class_name: str | None = None,
    ) -> NDArray[np.int64]:
        """Ids of the proposals that nobody has answered yet."""
        with self._guard:
            table = self._table(image)
            rows = self._rows(table, region, (PROPOSED,), 0)
            rows = rows[table["score"][rows] >= np.float32(min_score)]
            if class_name is not None:
                rows = rows[table["label"][rows] == self._class_key(class_name)]
            found: NDArray[np.int64] = table["id"][rows]
            return found

    def within(self, image: int, loop: ArrayLike, *, reading: int = 0) -> NDArray[np.int64]:
        """Ids of the nuclei inside a drawn loop, proposals included, ascending.

        Parameters
        ----------
        loop : (V, 2) array
            Corners in level-0 pixels, three at least; see `core.polygon.inside_polygon`.
        reading : int

        Raises
        ------
        RegionError
            Where the loop lies outside the image, or has fewer than three corners.
        """
        corners = np.asarray(loop, np.float64)
        with self._guard:
            table, shape = self._table(image), self.image(image).shape
            region = _around(corners).clipped(shape)
            every = 2 * region.area > shape[0] * shape[1]  # the index would leave out too little
            rows = self._rows(table, None if every else region, _STATUS["visible"], reading)
            rows = rows[inside_polygon(table["yx"][rows], corners)]
            return np.asarray(table["id"][rows], np.int64)

    def facts(self, id: int) -> NucleusFacts:
        """Where one nucleus comes from.

        Raises
        ------
        PointsError
            Where there is none with this id.
        """
        with self._guard:
            ((image, rows),) = self._locate(np.array([id], np.int64))
            table = self._state.tables[image]
            row = int(rows[0])
            annotator = int(table["annotator"][row])
            status = int(table["status"][row])
            return NucleusFacts(
                id=id,
                image=image,
                status=("proposed", "human", "rejected")[status - 1],
                found_by=self._state.origins[int(table["origin"][row])],
                annotator=None if annotator < 0 else self._state.annotators[annotator],
                time=float(table["time"][row]),
            )

    def counts(
        self, image: int | None = None, region: Region | None = None
    ) -> dict[str, ClassCount]:
        """Proposed and human nuclei per class name, ``unlabelled`` last.

        Of one image, or of all; of a region of one image where that is given too.
        """
        with self._guard:
            if image is None:
                zeros = np.zeros((4, self._state.width + 1), np.int64)
                total = sum((t.counts for t in self._state.tables.values()), zeros)
            elif region is None:
                total = self._table(image).counts
            else:
                table = self._table(image)
                width = self._state.width + 1
                total = np.zeros((4, width), np.int64)
                for status in (PROPOSED, ACCEPTED):
                    labels = table["label"][self._rows(table, region, (status,), 0)]
                    total[status] = np.bincount(labels.astype(np.int64) % width, minlength=width)
            names = (*self.classes.names, UNLABELLED)
            return {
                name: ClassCount(int(total[PROPOSED, key]), int(total[ACCEPTED, key]))
                for name, key in zip(names, self._state.scheme_keys, strict=True)
            }

    def fields(self, image: int | None = None) -> tuple[Field, ...]:
        """Fields that stand, of one image or of all, in the order in which they were drawn."""
        with self._guard:
            standing = [self._state.fields[id] for id in sorted(self._state.alive)]
            return tuple(f for f in standing if image is None or f.image == image)

    def readings(self, field: int) -> tuple[Reading, ...]:
        """The human dots in a field, once for each reading that has any.

        Raises
        ------
        ProjectError
            Where there is no such field.
        """
        with self._guard:
            drawn = self._standing_field(field)
            table = self._table(drawn.image)
            rows = table.in_region(drawn.region)
            rows = rows[table["status"][rows] == ACCEPTED]
            found = []
            for number in np.unique(table["reading"][rows]):
                own = rows[table["reading"][rows] == number]
                people = np.unique(table["annotator"][own])
                names = tuple(self._state.annotators[key] for key in people)
                found.append(Reading(int(number), names, self._nuclei_of(table, own)))
            return tuple(found)

    def label_set(
        self,
        open_source: Callable[[ProjectImage], ImageSource],
        *,
        provenance: Provenance | None = None,
    ) -> LabelSet:
        """A copy of all labels at this moment, so that training and annotating go on side by side.

        What nobody accepted does not leave the project: proposals, rejected ones and
        second readings are not in it. Images without a dot and without a field are left out.

        Parameters
        ----------
        open_source : callable
            Gives the pixels of an image, such as
            ``lambda image: open_image(store.image_file(image.id)[1], mpp=image.mpp)``.
        provenance : Provenance, optional
            Default: the project's name.

        Raises
        ------
        LabelSetError
            Where there is no label yet.
        """
        told = provenance or Provenance(name=self.path.stem)
        with self._guard:
            classes = self.classes
            copies = [
                (image, self.nuclei(image.id, which="human"), self.fields(image.id))
                for image in self.images
            ]
        copies = [(image, nuclei, fields) for image, nuclei, fields in copies if nuclei or fields]
        if not copies:
            raise LabelSetError(
                "The project holds no label yet: set or accept at least one nucleus, or draw "
                "a field."
            )
        images = tuple(
            AnnotatedImage(
                source=open_source(image),
                nuclei=replace(nuclei, prob=None),
                fields=tuple(field.region for field in fields),
                patient=image.patient,
                tissue=image.tissue,
                split=image.split,
                dataset=self.path.stem,
                origin=told,
            )
            for image, nuclei, fields in copies
        )
        return LabelSet(images=images, classes=classes, provenance=(told,))

    def _table(self, image: int) -> NucleiTable:
        self.image(image)
        return self._state.tables[image]

    def _rows(
        self, table: NucleiTable, region: Region | None, status: tuple[int, ...], reading: int
    ) -> NDArray[np.integer]:
        if region is None:
            states = table["status"]
            wanted = np.isin(states, status) & (table["reading"] == reading)
            return np.flatnonzero(wanted)
        rows = table.in_region(region)
        wanted = np.isin(table["status"][rows], status) & (table["reading"][rows] == reading)
        found: NDArray[np.integer] = rows[wanted]
        return found

    def _nuclei_of(self, table: NucleiTable, rows: NDArray[np.integer]) -> Nuclei:
        origin = np.array(self._state.origins, dtype=object)[table["origin"][rows]]
        origin[table["status"][rows] == ACCEPTED] = HUMAN
        prob = table["prob"][rows][:, self._state.scheme_keys[:-1]]
        return Nuclei(
            yx=table["yx"][rows],
            score=table["score"][rows],
            label=self._state.labels(table["label"][rows]),
            origin=origin,
            id=table["id"][rows],
            prob=None if np.isnan(prob).all() else prob,
            classes=self._state.scheme,
        )

    def _locate(self, ids: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        """(image, rows) of nuclei that are not deleted; one entry for each image with any.

        Raises
        ------
        PointsError
        """
        ids = np.unique(np.atleast_1d(np.asarray(ids, np.int64)))
        found: list[tuple[int, NDArray[np.int64]]] = []
        missing = len(ids)
        for image, table in self._state.tables.items():
            rows = table.rows_of(ids)
            rows = rows[rows >= 0]
            rows = rows[table["status"][rows] != DELETED]
            if len(rows):
                found.append((image, rows))
                missing -= len(rows)
        if missing:
            raise PointsError(
                f"{missing} of {len(ids)} nuclei are not in the project, or were deleted. "
                "Read the nuclei anew and choose again."
            )
        return found

    def _class_key(self, name: str) -> int:
        return int(self._state.scheme_keys[self._state.scheme.index(name)])

    def _standing_field(self, id: int) -> Field:
        if id not in self._state.alive:
            raise ProjectError(
                f"There is no field {id!r}; the project has: {sorted(self._state.alive)}."
            )
        return self._state.fields[id]


def _around(corners: NDArray[np.float64]) -> Region:
    """Smallest rectangle of whole pixels that holds the corners."""
    low, high = np.floor(corners.min(axis=0) + 0.5), np.floor(corners.max(axis=0) + 0.5) + 1
    height, width = (high - low).astype(int).tolist()
    return Region(int(low[0]), int(low[1]), height, width)
