"""Splitting labelled images, by patient where patients are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet

__all__ = ["hold_out", "label_budget"]


def hold_out(labels: LabelSet, *, fraction: float = 0.2, seed: int = 0) -> LabelSet:
    """The label set with some of its training images turned into validation images.

    Images of one patient stay together; an image whose patient is
    ``"unknown"`` counts as a patient of its own. At least one patient is held
    out, and at least one is left. Images of other splits stay as they are.

    Raises
    ------
    LabelSetError
        Where the training images come from fewer than two patients.
    """
    train = [image for image in labels if image.split == "train"]
    patients = sorted({_patient(image) for image in train})
    if len(patients) < 2:
        raise LabelSetError(
            f"There is no validation image, and none can be split off: the {len(train)} training "
            "images come from one patient. Label at least one image of another patient."
        )
    count = min(max(1, round(fraction * len(patients))), len(patients) - 1)
    rng = np.random.default_rng(seed)
    chosen = {patients[i] for i in rng.choice(len(patients), size=count, replace=False)}
    images = tuple(
        replace(image, split="validation")
        if image.split == "train" and _patient(image) in chosen
        else image
        for image in labels
    )
    return replace(labels, images=images)


def label_budget(labels: LabelSet, count: int, *, seed: int = 0) -> LabelSet:
    """The label set with only `count` labels left; the other nuclei become unlabelled.

    The draw is stratified (each class keeps its share) and nested: with one
    seed, the labels of a smaller budget are among those of a larger one.

    Raises
    ------
    LabelSetError
        Where there are fewer labels, or a class would be left without any.
    """
    every = np.concatenate([image.nuclei.label for image in labels])
    known = np.flatnonzero(every >= 0)
    if not 1 <= count <= len(known):
        raise LabelSetError(
            f"A budget of {count} labels was asked for, but {len(known)} nuclei are labelled."
        )
    kept = known[_stratified_order(every[known], np.random.default_rng(seed))[:count]]
    for index, name in enumerate(labels.classes.names):
        if (every == index).any() and not (every[kept] == index).any():
            raise LabelSetError(
                f"A budget of {count} labels leaves none for {name!r} "
                f"({int((every == index).sum())} of {len(known)}); allow more labels."
            )
    thinned = np.full_like(every, -1)
    thinned[kept] = every[kept]
    ends = np.cumsum([len(image.nuclei) for image in labels])[:-1]
    images = tuple(
        replace(image, nuclei=replace(image.nuclei, label=part))
        for image, part in zip(labels, np.split(thinned, ends), strict=True)
    )
    return replace(labels, images=images)


def _stratified_order(classes: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.intp]:
    """Order in which every beginning holds each class in about its share."""
    place = np.zeros(len(classes))
    for index in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == index))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def _patient(image: AnnotatedImage) -> tuple[str, str]:
    unknown = image.patient == "unknown"
    return image.dataset, f"image {image.name}" if unknown else image.patient
