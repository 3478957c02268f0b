"""What the dock "Teach nuclei" trains on: labels, unanswered proposals, and their folder."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nucbudget.learn.run_folder import RunFolder, TrainingPlan, plan_training, write_run
from napari_nucbudget.project import ProjectStore
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.progress import Progress

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["images_trained_on", "new_run_folder", "unlabelled_of", "written_run"]


def new_run_folder(store: ProjectStore, task: str) -> Path:
    """A folder beside the project that is not there yet."""
    root = store.path.with_name(f"{store.path.stem}.runs")
    kind = "detector" if task == "detection" else "classifier"
    stamp = f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = root / stamp, 2
    while folder.exists():
        folder, number = root / f"{stamp}-{number}", number + 1
    return folder


def unlabelled_of(session: Session, store: ProjectStore) -> LabelSet:
    """Unanswered proposals of all open images."""
    images = []
    for layer, id in session.links:
        image = store.image(id)
        proposals = store.nuclei(id, which="proposed")
        if len(proposals) and session.mpp_of(layer) is not None:
            source = session.open_source(image)
            images.append(
                AnnotatedImage(source, proposals, (), patient=image.patient, split=image.split)
            )
    return LabelSet(tuple(images), store.classes)


def written_run(
    labels: LabelSet, more: LabelSet | None, chosen: dict[str, Any], folder: Path
) -> Generator[Progress, None, tuple[TrainingPlan, RunFolder]]:
    """The folder to train on, written in a thread."""
    yield Progress(0, 1)
    plan = plan_training(labels, unlabelled=more, **chosen)
    return plan, write_run(plan, folder, name=folder.name)


def images_trained_on(store: ProjectStore, plan: TrainingPlan) -> list[int]:
    """Ids of the images that teach or choose the weights."""
    seen = {image.patient for image in (*plan.train, *plan.validation)}
    return [
        image.id
        for image in store.images
        if image.split != "test" and (image.patient in seen or f"image {image.name}" in seen)
    ]
