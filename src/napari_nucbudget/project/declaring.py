"""What surrounds the nuclei: images, fields, and the class scheme."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_nucbudget.errors import ConfigError, ProjectError
from napari_nucbudget.project.images import ProjectImage, fingerprint, relative_path, same_content
from napari_nucbudget.project.journal import ClassesChange, ClassRow, FieldChange, RowsChange
from napari_nucbudget.project.reading import ProjectReader
from napari_nucbudget.project.state import IMAGE_COLUMNS, Field, image_from_row
from napari_nucbudget.project.table import DELETED, NucleiTable
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region, check_mpp
from napari_nucbudget.types.labels import SPLITS
from napari_nucbudget.types.names import free_name

__all__ = ["DeclaringStore"]


class DeclaringStore(ProjectReader):
    """Edits of fields and classes, which can be undone; and the list of images, which cannot."""

    # -- images

    def add_image(
        self,
        shape: tuple[int, int],
        *,
        path: Path | str | None = None,
        name: str | None = None,
        mpp: float | None = None,
        patient: str = "unknown",
        tissue: str = "unknown",
        split: str = "train",
    ) -> int:
        """Id of an image that was not in the project yet, or of the same file that was.

        Parameters
        ----------
        shape : (int, int)
            Height and width of level 0.
        path : path, optional
            Its file, which is hashed (header block and size) and never copied. Without one the
            image is known by its name alone.
        name : str, optional
            Default the file's; a number is appended where the project has the name already.
        mpp : float, optional
            µm per level-0 pixel.
        """
        seen = None if path is None else fingerprint(Path(path))
        with self._guard:
            if path is None:
                known = self._without_file(name, shape)
            else:
                known = self.known_image(Path(path), shape)
            if known is not None:
                return known.id
            name = name or (Path(path).name if path is not None else "image")
            row = (
                max(self._state.images, default=0) + 1,
                free_name(name, {image.name for image in self.images}),
                *((None, None) if path is None else self._paths(Path(path))),
                *((None, None) if seen is None else (seen.header_sha256, seen.bytes)),
                int(shape[0]),
                int(shape[1]),
                None if mpp is None else check_mpp(mpp, of=name),
                patient,
                tissue,
                _split(split),
            )
            if min(shape) < 1:
                raise ProjectError(f"{name} is empty: {shape[0]} x {shape[1]} pixels.")
            with self.transaction() as connection:
                marks = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO images ({', '.join(IMAGE_COLUMNS)}) VALUES ({marks})", row
                )
            added = image_from_row(row)
            self._state.images[added.id] = added
            self._state.tables[added.id] = NucleiTable(self._state.width)
            self._announce(f"add image {added.name}", images=True)
            return added.id

    def known_image(self, path: Path, shape: tuple[int, int]) -> ProjectImage | None:
        """The image of the project that a file is, wherever it lies.

        It has the fingerprint and the shape, and where the project's own file is there too, the
        content. Of several, the one whose own file it is, then one of its name.
        """
        seen = fingerprint(path)
        alike = [i for i in self.images if i.fingerprint == seen and i.shape == tuple(shape)]
        files = {image.id: self.image_file(image.id) for image in alike}

        def rank(image: ProjectImage) -> tuple[bool, bool]:
            state, file = files[image.id]
            own = state == "found" and file is not None and file.samefile(path)
            return not own, Path(image.path or "").name != path.name

        for image in sorted(alike, key=rank):
            state, file = files[image.id]
            if state != "found" or file is None or same_content(file, path):
                return image
        return None

    def _without_file(self, name: str | None, shape: tuple[int, int]) -> ProjectImage | None:
        """The image without a file that is called so."""
        for image in self.images:
            if image.path is None and image.name == name and image.shape == tuple(shape):
                return image
        return None

    def describe_image(
        self,
        id: int,
        *,
        mpp: float | None = None,
        patient: str | None = None,
        tissue: str | None = None,
        split: str | None = None,
    ) -> ProjectImage:
        """Set the pixel size, patient, tissue or split of an image; None leaves it as it is."""
        with self._guard:
            old = self.image(id)
            new = replace(
                old,
                mpp=old.mpp if mpp is None else check_mpp(mpp, of=old.name),
                patient=old.patient if patient is None else patient,
                tissue=old.tissue if tissue is None else tissue,
                split=old.split if split is None else _split(split),
            )
            with self.transaction() as connection:
                connection.execute(
                    "UPDATE images SET mpp = ?, patient = ?, tissue = ?, split = ? WHERE id = ?",
                    (new.mpp, new.patient, new.tissue, new.split, id),
                )
            self._state.images[id] = new
            self._announce(f"describe image {new.name}", images=True)
            return new

    def relink(self, id: int, path: Path | str, *, accept_changed: bool = False) -> ProjectImage:
        """Say where the file of an image lies now.

        Parameters
        ----------
        accept_changed : bool
            Take the file though its first bytes or its size differ, such as after its
            metadata were edited. The nuclei keep their coordinates.

        Raises
        ------
        ProjectError
            Where the file cannot be read, or is another one.
        """
        path = Path(path)
        seen = fingerprint(path)
        with self._guard:
            old = self.image(id)
            if old.fingerprint not in (None, seen) and not accept_changed:
                raise ProjectError(
                    f"{path} is not the image {old.name!r} of this project: its first bytes or "
                    "its size differ. Choose the file that the nuclei were set on."
                )
            relative, absolute = self._paths(path)
            new = replace(old, path=relative, absolute=absolute, fingerprint=seen)
            with self.transaction() as connection:
                connection.execute(
                    "UPDATE images SET path = ?, absolute = ?, header_sha256 = ?, bytes = ? "
                    "WHERE id = ?",
                    (relative, absolute, seen.header_sha256, seen.bytes, id),
                )
            self._state.images[id] = new
            self._announce(f"relink image {new.name}", images=True)
            return new

    # -- fields

    def add_field(self, image: int, region: Region, *, allow_unanswered: bool = False) -> Field:
        """Declare that every nucleus in `region` has a dot; it is clipped to the image.

        Raises
        ------
        RegionError
            Where it lies outside the image.
        ProjectError
            Where proposals in it are unanswered: detection would learn them as background.
        """
        with self._guard:
            region = region.clipped(self.image(image).shape)
            unanswered = len(self.proposals(image, region))
            if unanswered and not allow_unanswered:
                raise ProjectError(
                    f"{unanswered:,} proposal{'s' if unanswered > 1 else ''} in this field "
                    f"{'are' if unanswered > 1 else 'is'} unanswered. Accept or reject "
                    f"{'them' if unanswered > 1 else 'it'} first."
                )
            self._annotator_key()
            id = max(self._state.fields, default=0) + 1
            field = Field(id, image, region, self.annotator, time.time())
            self._state.fields[id] = field
            try:
                self._commit("add a field", [FieldChange(image, id, False, True)])
            except BaseException:
                del self._state.fields[id]
                raise
            return field

    def remove_field(self, id: int) -> None:
        """Take the declaration back; the nuclei in it stay."""
        with self._guard:
            image = self._standing_field(id).image
            self._commit("remove a field", [FieldChange(image, id, True, False)])

    # -- classes

    def add_class(self, new: NucleusClass) -> None:
        """Append a class to the scheme.

        Raises
        ------
        ConfigError
            Where the name is taken, empty or reserved.
        """
        with self._guard:
            scheme = ClassScheme((*self.classes.classes, new))
            old = self._state.classes
            row = ClassRow(len(old), new.name, new.color, new.key, None)
            placed = replace(row, position=len(scheme) - 1)
            # Undoing removes the class from the scheme, and keeps its key from being used again.
            change = ClassesChange((*old, row), (*old, placed))
            self._commit(f"add class {new.name}", [change])

    def edit_class(
        self,
        name: str,
        *,
        new_name: str | None = None,
        color: str | None = None,
        key: str | None = None,
    ) -> None:
        """Rename a class, or give it another colour or key; its nuclei stay in it."""
        with self._guard:
            label = self._named(name)
            old = self.classes.classes[label]
            new = NucleusClass(
                old.name if new_name is None else new_name,
                old.color if color is None else color,
                old.key if key is None else key,
            )
            if new == old:
                return
            ClassScheme(tuple(new if c == old else c for c in self.classes.classes))
            doing = (
                f"rename class {name} to {new.name}" if new.name != name else f"edit class {name}"
            )
            at = int(self._state.scheme_keys[label])
            rows = self._state.classes
            edited = tuple(
                replace(row, name=new.name, color=new.color, shortcut=new.key)
                if row.key == at
                else row
                for row in rows
            )
            self._commit(doing, [ClassesChange(rows, edited)])

    def remove_class(self, name: str, *, into: str | None = None) -> None:
        """Take a class out of the scheme; its nuclei go to the class `into`, ``""`` for none.

        Raises
        ------
        ProjectError
            Where it has nuclei and `into` is not given.
        """
        with self._guard:
            key = int(self._state.scheme_keys[self._named(name)])
            target = -1 if not into else int(self._state.scheme_keys[self._named(into)])
            if target == key:
                raise ConfigError(f"The nuclei of {name!r} cannot go into the class that goes.")
            moved: list[RowsChange] = []
            for image, table in self._state.tables.items():
                rows = np.flatnonzero((table["label"] == key) & (table["status"] != DELETED))
                if len(rows):
                    moved.append(self._state.changed(image, rows, label=target))
            if moved and into is None:
                count = sum(len(change.rows) for change in moved)
                raise ProjectError(
                    f"The class {name!r} has {count:,} nuclei. Say which class they go to."
                )
            old = self._state.classes
            left = [int(k) for k in self._state.scheme_keys[:-1] if k != key]
            self._commit(f"remove class {name}", [*moved, ClassesChange(old, _placed(old, left))])

    def order_classes(self, names: Sequence[str]) -> None:
        """Put the classes into the order of `names`, which holds each of them once."""
        with self._guard:
            if sorted(names) != sorted(self.classes.names):
                raise ConfigError(
                    f"An order needs each class once: {list(self.classes.names)}, "
                    f"got {list(names)}."
                )
            old = self._state.classes
            keys = [int(self._state.scheme_keys[self._named(name)]) for name in names]
            self._commit("order the classes", [ClassesChange(old, _placed(old, keys))])

    # -- parts

    def _named(self, name: str) -> int:
        label = self.classes.index(name)
        if label < 0:
            raise ConfigError("Nuclei without a class are no class that could be changed.")
        return label

    def _paths(self, path: Path) -> tuple[str, str]:
        absolute = path.absolute()
        return relative_path(absolute, self.path.parent), absolute.as_posix()


def _placed(rows: tuple[ClassRow, ...], order: Sequence[int]) -> tuple[ClassRow, ...]:
    """All classes, those with a key in `order` in the scheme in that order."""
    place = {key: position for position, key in enumerate(order)}
    return tuple(replace(row, position=place.get(row.key)) for row in rows)


def _split(name: str) -> str:
    if name not in SPLITS:
        raise ProjectError(f"There is no split {name!r}; there are: {', '.join(SPLITS)}.")
    return name
