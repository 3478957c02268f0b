"""What a project remembers of its checks: which models, when, in how many fields, how good."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_nucbudget.infer.check import ModelCheck, check_models
from napari_nucbudget.models.library import load_classifier, load_detector
from napari_nucbudget.project import Checked, ModelUse, ProjectImage, ProjectStore, Records

if TYPE_CHECKING:
    from napari_nucbudget.types.card import ModelCard
    from napari_nucbudget.types.labels import AnnotatedImage
    from napari_nucbudget.types.progress import Progress
    from napari_nucbudget.ui.session import Session

__all__ = ["checked", "dots_tag", "last_checked", "latest_check", "note_check", "summary"]


def checked(
    images: list[AnnotatedImage], detector: str, classifier: str, radius_um: float
) -> Generator[Progress, None, ModelCheck]:
    """The work; importing torch and reading weights are part of it."""
    typing = load_classifier(classifier) if classifier else None
    found = yield from check_models(images, load_detector(detector), typing, radius_um=radius_um)
    return found


def dots_tag(store: ProjectStore, images: Sequence[ProjectImage]) -> str:
    """Tells people's dots and the fields of these images from others."""
    digest = hashlib.sha256()
    for image in images:
        dots = store.nuclei(image.id, which="human")
        digest.update(repr([field.region for field in store.fields(image.id)]).encode())
        for column in (dots.id, dots.yx, dots.label):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def note_check(
    session: Session,
    check: ModelCheck,
    fields: int,
    models: Mapping[str, ModelCard],
) -> None:
    """Keep the figures of a check, at the detector's own threshold, where the project may change.

    Parameters
    ----------
    fields : int
        In so many the models were checked.
    models : mapping of name to ModelCard
        The detector, and the classifier where there was one, by their names in the pickers.
    """
    store = session.store
    if store is None or store.read_only:
        return
    scores, types = check.scores(check.threshold), check.types()
    figures = {
        "threshold": scores.threshold,
        "radius_um": scores.radius_um,
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "dots": scores.nuclei,
        "images": scores.images,
        "fields": fields,
    }
    if types is not None:
        figures["weighted_f1"] = types.weighted_f1
    hashes = [card.weights_sha256 for card in models.values()]
    detector, classifier, *_ = (*models, "")
    session.edit(
        lambda store: Records(store).note_check(
            figures,
            detector=detector,
            detector_sha256=hashes[0],
            classifier=classifier,
            classifier_sha256=hashes[1] if classifier else None,
        )
    )


def last_checked(store: ProjectStore | None) -> str:
    """The newest check of a project as a sentence; empty for none."""
    checks = [] if store is None else Records(store).checks()
    return f"Last checked {summary(checks[0])}." if checks else ""


def latest_check(store: ProjectStore) -> Checked | None:
    """The newest check of the models in use, in the fields that there are now."""
    records = Records(store)
    uses = records.models()
    fields = len(store.fields())
    for check in records.checks():
        if check.figures["fields"] == fields and _covers(check, uses):
            return check
    return None


def summary(check: Checked) -> str:
    """The check in one line, such as ``23 November: F1 0.81, precision 0.85, recall 0.77, ...``."""
    figures = check.figures
    fields, dots = int(figures["fields"]), int(figures["dots"])
    typed = ""
    if check.classifier and "weighted_f1" in figures:
        typed = f", {check.classifier} weighted F1 {figures['weighted_f1']:.2f}"
    when = time.strftime("%d %B", time.localtime(check.time)).lstrip("0")
    return (
        f"{when}: {check.detector} F1 {figures['f1']:.2f}, precision {figures['precision']:.2f}, "
        f"recall {figures['recall']:.2f}{typed}, {dots:,} dots in {fields} "
        f"field{'' if fields == 1 else 's'}"
    )


def _covers(check: Checked, uses: list[ModelUse]) -> bool:
    """Whether these were the models that are in use, of each task that any is used for."""
    for task, name, sha256 in (
        ("detection", check.detector, check.detector_sha256),
        ("classification", check.classifier, check.classifier_sha256),
    ):
        used = next((use for use in reversed(uses) if use.task == task), None)
        if used is None:
            continue
        if used.weights_sha256 is None or sha256 is None:
            if used.name != name:
                return False
        elif used.weights_sha256 != sha256:
            return False
    return True
