"""Files of points into a project, as one step of undo: nothing is doubled, dropped or guessed."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_nucbudget.errors import PointsError, ProjectError, RegionError
from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.formats.points_file import Labelled, PointsFile
from napari_nucbudget.project import ProjectImage, ProjectStore
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region, mpp_differ
from napari_nucbudget.types.nuclei import HUMAN, Nuclei
from napari_nucbudget.types.progress import Progress

__all__ = [
    "SAME_PX",
    "ImportPlan",
    "Imported",
    "import_points",
    "iter_read",
    "likely_image",
    "misfits",
    "new_classes",
    "outside",
]

SAME_PX = 0.5
"""Two nuclei at most so far apart are the same one."""


@dataclass(frozen=True)
class ImportPlan:
    """Answers to what a file leaves open.

    Attributes
    ----------
    targets : sequence of int or None
        Project image for each image of the file; None leaves it out.
    classes : mapping of str to str or None
        For each class that the project lacks: the project's class that its nuclei get, ``""``
        for none, or None to add it to the scheme.
    replace : bool
        Take the nuclei of these images away first.
    skip_outside : bool
        Leave out nuclei outside their image, rather than refuse the file.
    reading : int
    """

    targets: Sequence[int | None]
    classes: Mapping[str, str | None] = field(default_factory=dict)
    replace: bool = False
    skip_outside: bool = False
    reading: int = 0


@dataclass(frozen=True)
class Imported:
    """What an import has changed.

    Attributes
    ----------
    human, proposed : int
        Nuclei that were added.
    answered : int
        Open proposals that a dot of the file has accepted.
    same : int
        Nuclei that were there already.
    fields : int
    remarks : tuple of str
    """

    human: int = 0
    proposed: int = 0
    answered: int = 0
    same: int = 0
    fields: int = 0
    remarks: tuple[str, ...] = ()


def iter_read(path: Path, format: str | None = None) -> Generator[Progress, None, list[PointsFile]]:
    """Read a file of points or a folder; yields once before.

    Raises
    ------
    PointsError
        Where it cannot be read.
    """
    yield Progress(0, 0, message=f"Reading {path.name}…")
    return read_points(path, format=format)


def likely_image(store: ProjectStore, points: PointsFile) -> int | None:
    """The project image that a file names, by file name or stem; None where none or several."""
    name = _file_of(points)
    for same in (lambda a, b: a == b, lambda a, b: _stem(a) == _stem(b)):
        found = [image.id for image in store.images if name and same(image.name, name)]
        if len(found) == 1:
            return found[0]
    return None


def _file_of(points: PointsFile) -> str:
    """The image's file name, without the folders of this or another system."""
    return points.image.replace("\\", "/").rsplit("/", 1)[-1]


def _names(store: ProjectStore, points: PointsFile, about: ProjectImage) -> bool:
    """Whether a file may mean that image: by its name, else by its stem if no other is meant."""
    name = _file_of(points)
    if name == about.name:
        return True
    return _stem(name) == _stem(about.name) and likely_image(store, points) in (None, about.id)


def _stem(name: str) -> str:
    """Without suffixes and without the tag that arrays have in a project."""
    return name.split(" [")[0].split(".")[0].lower()


def misfits(store: ProjectStore, points: PointsFile, image: int) -> tuple[str, ...]:
    """Sentences on where a file contradicts what the project knows of the image."""
    about = store.image(image)
    told = []
    if points.image and not _names(store, points, about):
        told.append(f"The file says that its nuclei lie on {points.image!r}, not {about.name!r}.")
    if points.shape is not None and tuple(points.shape) != about.shape:
        told.append(
            f"The file was made on an image of {points.shape[0]} x {points.shape[1]} pixels, "
            f"{about.name} has {about.shape[0]} x {about.shape[1]}: is it the same one?"
        )
    if mpp_differ(points.mpp, about.mpp):
        told.append(
            f"The file says {points.mpp:.4g} µm/px, the project {about.mpp:.4g}: positions are "
            "taken as pixels, as they stand."
        )
    return tuple(told)


def new_classes(points: Sequence[PointsFile], known: ClassScheme) -> tuple[NucleusClass, ...]:
    """Classes that nuclei or probabilities of a file use and the project has not."""
    found: dict[str, NucleusClass] = {}
    for each in points:
        nuclei = each.nuclei
        used = set(np.unique(nuclei.label).tolist()) - {-1}
        if nuclei.prob is not None:
            used = set(range(len(nuclei.classes)))
        for label in sorted(used):
            one = nuclei.classes.classes[label]
            if one.name not in known.names:
                found.setdefault(one.name, one)
    return tuple(found.values())


def outside(store: ProjectStore, points: PointsFile, image: int) -> int:
    """How many nuclei of a file lie outside the image."""
    inside = Region.whole(store.image(image).shape).contains(points.nuclei.yx)
    return int((~inside).sum())


def import_points(
    store: ProjectStore, points: Sequence[PointsFile], plan: ImportPlan, *, name: str
) -> Imported:
    """Bring nuclei and fields of a file into the project, as one step that can be undone.

    Dots of people come as dots, the others as proposals. What lies on a nucleus of the project
    is that nucleus: it is not doubled, and an open proposal is answered by a person's dot.

    Raises
    ------
    PointsError
        Where something does not fit.
    OutputError
        Where it cannot be written, such as on a full disk. The project is then as before.
    """
    _check(store, points, plan)
    total = sum(len(p.nuclei) for p, image in zip(points, plan.targets, strict=True) if image)
    with store.group(f"import {total:,} nuclei from {name}"):
        return _import(store, points, plan)


def _check(store: ProjectStore, points: Sequence[PointsFile], plan: ImportPlan) -> None:
    """Refuse what would fail half way."""
    if not any(image is not None for image in plan.targets):
        raise PointsError("No image is chosen for these nuclei, so nothing was imported.")
    asked = [c.name for c in new_classes(points, store.classes) if c.name not in plan.classes]
    if asked:
        raise PointsError(
            f"The project has no class {', '.join(map(repr, asked))}: say whether to add it, or "
            "which class its nuclei get. Nothing was imported."
        )
    for each, image in zip(points, plan.targets, strict=True):
        beyond = 0 if image is None else outside(store, each, image)
        if image is not None and beyond and not plan.skip_outside:
            about = store.image(image)
            raise PointsError(
                f"{beyond:,} of {len(each.nuclei):,} nuclei lie outside {about.name} of "
                f"{about.shape[0]} x {about.shape[1]} pixels. Choose another image, or tick "
                "'Leave out nuclei outside the image'. Nothing was imported."
            )


def _import(store: ProjectStore, points: Sequence[PointsFile], plan: ImportPlan) -> Imported:
    for one in new_classes(points, store.classes):
        if plan.classes[one.name] is None:
            taken = {c.key for c in store.classes.classes}
            store.add_class(replace(one, key="" if one.key in taken else one.key))
    done = Imported()
    for each, image in zip(points, plan.targets, strict=True):
        if image is not None:
            done = _import_image(store, each, image, plan, done)
    return done


def _import_image(
    store: ProjectStore, points: PointsFile, image: int, plan: ImportPlan, done: Imported
) -> Imported:
    remarks = list(done.remarks)
    nuclei, said = _translated(points.nuclei, store.classes, plan.classes)
    remarks += said
    about = store.image(image)
    inside = Region.whole(about.shape).contains(nuclei.yx)
    if not inside.all():
        remarks.append(f"Left out, since outside {about.name}: {int((~inside).sum()):,}.")
        nuclei = nuclei.select(inside)
    answered = same = 0
    if plan.replace:
        store.clear(image, reading=plan.reading)
        emptied = () if plan.reading else store.fields(image)
        for each in emptied:
            store.remove_field(each.id)
        if emptied:
            remarks.append(
                f"Fields of {about.name} that were taken back, since they said that all their "
                f"nuclei were dotted: {len(emptied):,}."
            )
    else:
        nuclei, answered, same, other = _merged(store, image, nuclei, plan.reading)
        if other:
            remarks.append(
                f"Of another class in the file than in {about.name}, whose class they keep: "
                f"{other:,}."
            )
    store.insert(image, nuclei, reading=plan.reading)
    human = int((nuclei.origin == HUMAN).sum())
    fields, said = _fields(store, image, points.fields)
    if about.mpp is None and points.mpp is not None:
        store.describe_image(image, mpp=points.mpp)
        remarks.append(f"{about.name} has {points.mpp:.4g} µm/px, says the file.")
    remarks += _belongs(store, image, points.labelled)
    return Imported(
        human=done.human + human,
        proposed=done.proposed + len(nuclei) - human,
        answered=done.answered + answered,
        same=done.same + same,
        fields=done.fields + fields,
        remarks=(*remarks, *said),
    )


def _belongs(store: ProjectStore, image: int, told: Labelled | None) -> list[str]:
    """Patient, tissue and split of a label set, where the project says nothing else."""
    about = store.image(image)
    if told is None:
        return []
    plain = ProjectImage.__dataclass_fields__
    wanted = {
        name: getattr(told, name)
        for name in ("patient", "tissue", "split")
        if getattr(about, name) == plain[name].default != getattr(told, name)
    }
    if not wanted:
        return []
    store.describe_image(image, **wanted)
    said = ", ".join(f"{name} {value}" for name, value in wanted.items())
    return [f"{about.name}: {said}, says the label set."]


def _translated(
    nuclei: Nuclei, scheme: ClassScheme, answers: Mapping[str, str | None]
) -> tuple[Nuclei, list[str]]:
    """The nuclei in the project's classes, and what was said of their probabilities."""
    target = np.full(len(nuclei.classes) + 1, -1, np.int16)
    for label, name in enumerate(nuclei.classes.names):
        answer = name if name in scheme.names else answers.get(name, "")
        target[label] = scheme.index(name if answer is None else answer)
    prob, remarks = None, []
    if nuclei.prob is not None:
        if (nuclei.prob[:, target[:-1] < 0] > 0).any():
            remarks.append("Probabilities were left out, since a class of theirs was.")
        else:
            prob = np.zeros((len(nuclei), len(scheme)), np.float32)
            for label, to in enumerate(target[:-1]):
                if to >= 0:
                    prob[:, to] += nuclei.prob[:, label]
    translated = replace(nuclei, label=target[nuclei.label], prob=prob, classes=scheme)
    return translated, remarks


def _merged(
    store: ProjectStore, image: int, nuclei: Nuclei, reading: int
) -> tuple[Nuclei, int, int, int]:
    """What is new of `nuclei`; how many answered a proposal, were there, have another class."""
    from scipy.spatial import cKDTree

    there = store.nuclei(image, reading=reading)
    if not len(there) or not len(nuclei):
        return nuclei, 0, 0, 0
    distance, at = cKDTree(there.yx).query(nuclei.yx, distance_upper_bound=SAME_PX * 1.001)
    found = np.asarray(distance <= SAME_PX)
    at = np.where(found, at, 0)
    answers = found & (nuclei.origin == HUMAN) & (there.origin[at] != HUMAN)
    for label in np.unique(nuclei.label[answers]).tolist():
        chosen = answers & (nuclei.label == label)
        if label < 0:  # a dot without class says that there is a nucleus, and no more
            store.accept(there.id[at[chosen]])
        else:
            store.relabel(there.id[at[chosen]], nuclei.classes.name(label))
    same = found & ~answers
    other = int((same & (there.label[at] != nuclei.label)).sum())
    return nuclei.select(~found), int(answers.sum()), int(same.sum()), other


def _fields(store: ProjectStore, image: int, regions: Sequence[Region]) -> tuple[int, list[str]]:
    """How many fields were declared, and why others were not."""
    remarks, added = [], 0
    for region in regions:
        if any(field.region == region for field in store.fields(image)):
            continue
        try:
            store.add_field(image, region)
            added += 1
        except (ProjectError, RegionError) as error:
            remarks.append(f"The field at y={region.y}, x={region.x} was not declared: {error}")
    return added, remarks
