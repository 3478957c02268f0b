"""Which images are trained on and which are held out to validate, where nothing says it."""

from __future__ import annotations

from dataclasses import replace

from napari_nucbudget.core.sampling import hold_out, patients
from napari_nucbudget.types.labels import LabelSet

__all__ = ["FEW_PATIENTS", "split_to_train"]

FEW_PATIENTS = 5
"""With fewer, fine-tuning holds none out."""


def split_to_train(
    labels: LabelSet, *, seed: int = 0, spare: bool = False
) -> tuple[LabelSet, LabelSet, str]:
    """Training images, validation images, and a sentence that says what was done.

    Images that are marked for validation are taken as they are. Where none is, a
    fifth of the patients is held out; with `spare` (there is a parent), fewer than
    `FEW_PATIENTS` are all trained on. Test images are in neither.

    Raises
    ------
    LabelSetError
        Where there is no training image, or one patient alone and no parent.
    """
    labels = replace(labels, images=tuple(i for i in labels if i.split != "test"))
    if any(image.split == "validation" for image in labels):
        return labels.split("train"), labels.split("validation"), ""
    if spare and (count := patients(labels)) < FEW_PATIENTS:
        told = (
            f"{count} patient{' is' if count == 1 else 's are'} too few to hold one out: all "
            "images are trained on for a fixed number of steps, and the threshold is chosen on "
            "them."
        )
        return labels.split("train"), replace(labels, images=()), told
    labels = hold_out(labels, seed=seed)
    held = labels.split("validation")
    names = ", ".join(image.name for image in held)
    told = f"No validation image is marked; held out {len(held)}: {names}"
    return labels.split("train"), held, told
