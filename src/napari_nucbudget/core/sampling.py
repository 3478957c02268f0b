"""Splitting labelled images, by patient where patients are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet

__all__ = ["hold_out"]


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


def _patient(image: AnnotatedImage) -> tuple[str, str]:
    unknown = image.patient == "unknown"
    return image.dataset, f"image {image.name}" if unknown else image.patient
