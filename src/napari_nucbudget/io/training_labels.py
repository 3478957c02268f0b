"""From edited nuclei to training data: what may leave as truth, and with which background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.formats.points_file import Labelled, PointsFile
from napari_nucbudget.io.image_names import image_title
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

__all__ = ["accept_all", "training_labels"]


def accept_all(nuclei: Nuclei) -> Nuclei:
    """The same nuclei as a person's who accepts every proposal."""
    return replace(nuclei, origin=np.full(len(nuclei), HUMAN, dtype=object))


def training_labels(
    images: Sequence[PointsFile],
    *,
    crops: bool = False,
    provenance: Provenance | None = None,
    patient: str | None = None,
    tissue: str | None = None,
    split: str | None = None,
) -> LabelSet:
    """Label set of the dots that persons set or accepted; proposals are left out.

    A field says that everything in it is dotted. Were a proposal in one left
    out, the detector would learn a nucleus as background, so that is refused.
    Images without fields teach classes, and no background.

    Parameters
    ----------
    images : sequence of PointsFile
        With their pixels and pixel size.
    crops : bool
        Write each field as an image of its own, rather than the whole image
        with its fields; dots outside fields are then left out.
    provenance : Provenance, optional
        Licence, citation and notes for the cards of models that learn from it; default, that
        of the label set that the first image comes from.
    patient, tissue, split : str, optional
        Of all these images; default, what the label set that one comes from says of it, else
        ``unknown``, and training.

    Raises
    ------
    OutputError
        Where an image's pixels or pixel size are not there, a field holds
        proposals that nobody answered, the classes differ, or crops are wanted
        of an image without fields.
    """
    if not images:
        raise OutputError("There is no image to write as a label set.")
    classes = images[0].nuclei.classes
    annotated: list[AnnotatedImage] = []
    for points in images:
        if points.nuclei.classes != classes:
            raise OutputError(
                f"One label set has one list of classes; {points.image!r} has "
                f"{', '.join(points.nuclei.classes.names)}, not {', '.join(classes.names)}."
            )
        whole = _annotated(points, patient, tissue, split)
        annotated += _crops(whole) if crops else [whole]
    before = images[0].labelled
    given = provenance or (before.provenance if before else None)
    given = given or Provenance(image_title(images[0]) or "labels")
    return LabelSet(tuple(annotated), classes, (given,))


def _annotated(
    points: PointsFile, patient: str | None, tissue: str | None, split: str | None
) -> AnnotatedImage:
    name = image_title(points) or "image"
    if points.source is None:
        raise OutputError(
            f"A label set holds the image itself; give the file that the nuclei of {name!r} lie on."
        )
    if points.mpp is None:
        raise OutputError(f"A label set needs the pixel size of {name!r}; give it (--mpp).")
    proposed = points.nuclei.select(points.nuclei.origin != HUMAN)
    for region in points.fields:
        unanswered = int(region.contains(proposed.yx).sum())
        if unanswered:
            raise OutputError(
                f"The field at y={region.y}, x={region.x} of {name!r} holds {unanswered:,} "
                "proposals that nobody answered. A field says that everything in it is dotted: "
                "accept, correct or delete them first (--accept takes all as they are)."
            )
    pixels = points.source.read(Region.whole(points.source.shape))
    known = points.labelled or Labelled("unknown", "unknown", "train", None, None)
    return AnnotatedImage(
        source=ArraySource(pixels, mpp=points.mpp, name=name),
        nuclei=_inside(points.nuclei.select(points.nuclei.origin == HUMAN), pixels.shape[:2]),
        fields=points.fields,
        patient=patient or known.patient,
        tissue=tissue or known.tissue,
        split=split or known.split,
        stain=known.stain,
    )


def _inside(nuclei: Nuclei, shape: tuple[int, ...]) -> Nuclei:
    """The nuclei inside the image: dots beyond its border cannot teach."""
    return nuclei.select(Region.whole((shape[0], shape[1])).contains(nuclei.yx))


def _crops(image: AnnotatedImage) -> list[AnnotatedImage]:
    """Every field as an image of its own, annotated throughout."""
    if not image.fields:
        raise OutputError(
            f"{image.name!r} has no field to crop; mark one (--field Y,X,HEIGHT,WIDTH), "
            "or write the whole image."
        )
    found = []
    for field in image.fields:
        region = field.clipped(image.source.shape)
        dots = image.nuclei.select(region.contains(image.nuclei.yx))
        source = ArraySource(
            image.source.read(region), mpp=image.mpp, name=f"{image.name}_y{region.y}_x{region.x}"
        )
        found.append(
            replace(
                image,
                source=source,
                nuclei=dots.shifted(-region.y, -region.x),
                fields=(Region.whole(source.shape),),
                whole=image.source,
            )
        )
    return found
