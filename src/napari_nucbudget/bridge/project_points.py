"""The nuclei of a project as points for files, as training data, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.counts import Count
from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.training_labels import training_labels
from napari_nucbudget.project import ProjectStore
from napari_nucbudget.project.reading import Which
from napari_nucbudget.types.classes import UNLABELLED
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.labels import LabelSet, Provenance

__all__ = ["project_counts", "project_labels", "project_points"]


def project_points(
    store: ProjectStore,
    image: int,
    *,
    which: Which = "visible",
    ids: NDArray[np.int64] | None = None,
    reading: int = 0,
) -> PointsFile:
    """Nuclei of one image with what the project knows of the image.

    Its fields go along where all of their nuclei do; a remark says where not.

    Parameters
    ----------
    store : ProjectStore
    image : int
    which : str
        As `ProjectStore.nuclei`.
    ids : (K,) int64, optional
        Only these.
    reading : int
    """
    about = store.image(image)
    nuclei = store.nuclei(image, which=which, ids=ids, reading=reading)
    fields = tuple(field.region for field in store.fields(image))
    whole = ids is None and which in ("visible", "human")
    kept = fields if whole else ()
    if whole and which == "human":
        kept = tuple(region for region in fields if not len(store.proposals(image, region)))
    remarks: tuple[str, ...] = ()
    if len(kept) < len(fields):
        left = len(fields) - len(kept)
        remarks = (
            f"{left} of {len(fields)} fields of {about.name} {'is' if left == 1 else 'are'} left "
            "out: not all nuclei in them are written.",
        )
    return PointsFile(nuclei, about.mpp, about.name, about.shape, kept, remarks=remarks)


def project_labels(
    store: ProjectStore,
    sources: Mapping[int, ImageSource],
    *,
    ids: NDArray[np.int64] | None = None,
    crops: bool = False,
    provenance: Provenance | None = None,
) -> LabelSet:
    """Training data of the dots that people set or accepted; open proposals never leave as truth.

    Parameters
    ----------
    store : ProjectStore
    sources : mapping of image id to ImageSource
        The pixels of the images to write.
    ids : (K,) int64, optional
        Only these nuclei; no field goes along then.
    crops : bool
        Each field as an image of its own.
    provenance : Provenance, optional
        Default: the project's name.

    Raises
    ------
    OutputError
        Where a pixel size is missing, a field holds proposals that nobody answered, or crops
        are wanted of an image without a field.
    """
    told = provenance or Provenance(store.path.stem)
    parts = []
    for image, source in sources.items():
        about = store.image(image)
        points = project_points(store, image, ids=ids)
        if about.mpp is None:
            raise OutputError(
                f"Training data need the pixel size of {about.name}; type it in the detect dock."
            )
        for number, field in enumerate(points.fields, start=1):
            if left := len(store.proposals(image, field)):
                raise OutputError(
                    f"{_proposals(left)} in field {number} of {about.name} (y={field.y}, "
                    f"x={field.x}). A field says that everything in it is dotted: accept or "
                    "reject them first. Nothing was written."
                )
        if crops and not points.fields:
            raise OutputError(
                f"{about.name} has no field to crop: declare one in the annotate dock, or write "
                "the whole image."
            )
        parts.append(
            training_labels(
                [replace(points, source=source)],
                crops=crops,
                provenance=told,
                patient=about.patient,
                tissue=about.tissue,
                split=about.split,
            )
        )
    if not any(len(image.nuclei) or image.fields for part in parts for image in part):
        raise OutputError(
            "No nucleus was set or accepted by a person yet, so there is nothing to train on. "
            "Accept proposals or add dots first."
        )
    return replace(LabelSet.concat(parts), provenance=(told,))


def project_counts(store: ProjectStore, images: Sequence[int]) -> list[tuple[str, Count]]:
    """(image name, count) per class for each image as a whole and for each of its fields.

    Proposals count as nuclei, not as human ones; nuclei without a class are listed where there
    are any.
    """
    rows = []
    for image in images:
        about = store.image(image)
        regions: dict[str, Region | None] = {"all": None}
        regions |= {
            f"field {number}": field.region
            for number, field in enumerate(store.fields(image), start=1)
        }
        for name, region in regions.items():
            for label, count in store.counts(image, region).items():
                total = count.proposed + count.human
                if total or label != UNLABELLED:
                    where = region or Region.whole(about.shape)
                    row = Count(name, where, label, total, count.human, about.mpp)
                    rows.append((about.name, row))
    return rows


def _proposals(count: int) -> str:
    return "1 proposal is open" if count == 1 else f"{count:,} proposals are open"
