"""Label set folders as a format: the image with its dots, for training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_nucbudget.errors import LabelSetError, PointsError
from napari_nucbudget.io.formats.format import Format
from napari_nucbudget.io.formats.points_file import Labelled, PointsFile
from napari_nucbudget.io.label_sets import read_label_set, write_label_set
from napari_nucbudget.io.training_labels import training_labels
from napari_nucbudget.types.classes import ClassScheme

__all__ = ["LABEL_SET", "is_label_set", "read_label_points", "write_label_points"]


def is_label_set(path: Path) -> bool:
    """Whether the folder looks like a label set."""
    return (path / "dataset.json").is_file()


def read_label_points(path: Path, classes: ClassScheme | None = None) -> list[PointsFile]:
    """Points of every image of a label set.

    Raises
    ------
    PointsError
        Where the folder cannot be read, or has other classes than the given ones.
    """
    try:
        labels = read_label_set(path)
    except LabelSetError as error:
        raise PointsError(str(error)) from error
    if classes is not None and classes.names != labels.classes.names:
        raise PointsError(
            f"{path} has the classes {', '.join(labels.classes.names)}, "
            f"not {', '.join(classes.names)}."
        )
    (provenance,) = labels.provenance
    return [
        PointsFile(
            replace(image.nuclei, classes=classes or labels.classes),
            image.mpp,
            image.name,
            image.source.shape,
            image.fields,
            source=image.source,
            labelled=Labelled(image.patient, image.tissue, image.split, image.stain, provenance),
        )
        for image in labels
    ]


def write_label_points(path: Path, points: PointsFile) -> Path:
    """Write a label set folder of one image, whole, with the dots that a person set or accepted.

    Raises
    ------
    OutputError
        As `training_labels` and `write_label_set`.
    """
    return write_label_set(training_labels([points]), path)


LABEL_SET = Format(
    name="label-set",
    title="Label set folder, for training",
    suffixes=("",),
    read=read_label_points,
    write=write_label_points,
    keeps=frozenset(("yx", "label", "classes", "mpp", "shape", "fields")),
    folder=True,
)
