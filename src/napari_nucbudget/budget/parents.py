"""The model that fine-tuning starts from: a shipped one, or one that the recipe trains."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from napari_nucbudget.budget.prepare import in_memory
from napari_nucbudget.budget.recipe import Recipe
from napari_nucbudget.core.sampling import hold_out
from napari_nucbudget.errors import ConfigError, ProjectLockedError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.learn.checkpoint import STATE_FILE
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.models.bundle import CARD_FILE, Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.library import load_card, load_classifier, load_detector
from napari_nucbudget.project.lock import WriteLock
from napari_nucbudget.types.labels import LabelSet

__all__ = ["parent_facts", "parent_model"]

WAIT_S = 2.0
"""How often a process looks whether another one has finished the parent."""


def parent_facts(recipe: Recipe) -> dict[str, str]:
    """What decides the figures beside the recipe: the weights of a parent that is at hand."""
    if recipe.parent is None or recipe.parent.data:
        return {}
    card = load_card(recipe.parent.model)
    if card.task != recipe.task:
        raise ConfigError(
            f"{recipe.name}: the parent {card.name} is for {card.task}, "
            f"the recipe for {recipe.task}."
        )
    return {"parent_sha256": card.weights_sha256}


def parent_model(
    recipe: Recipe, labels: LabelSet | None, *, out: Path, threads: int, device: str
) -> Generator[str, None, Classifier | Detector]:
    """The parent, trained on `labels` first where the recipe says so; yields what is going on.

    Training goes on where it stopped; of several processes with one folder,
    one trains and the others wait for it.
    """
    assert recipe.parent is not None
    if recipe.parent.model:
        return _load(recipe, recipe.parent.model, device)
    folder = out / "parent"
    done = out / "parent.done"
    while not done.exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
            lock = WriteLock(folder)
        except ProjectLockedError:
            yield "waiting for the process that trains the parent"
            time.sleep(WAIT_S)
            continue
        try:
            if not done.exists():
                assert labels is not None
                yield from _train(recipe, labels, folder, threads, device)
                write_atomically(done, b"")
        finally:
            lock.release()
    return _load(recipe, str(folder), device)


def _load(recipe: Recipe, name: str, device: str) -> Classifier | Detector:
    if recipe.task == "detection":
        return load_detector(name, device=device)
    return load_classifier(name, device=device)


def _train(
    recipe: Recipe, labels: LabelSet, folder: Path, threads: int, device: str
) -> Generator[str, None, None]:
    config = replace(recipe.parent_config(), threads=threads)
    if not any(image.split == "validation" for image in labels):
        labels = hold_out(labels, seed=config.seed)
    labels = in_memory(labels, mpp=config.mpp)
    resume = (folder / STATE_FILE).exists()
    if not resume and (folder / CARD_FILE).exists():
        shutil.rmtree(folder)  # stopped before the first state was written
    steps = fit(
        labels.split("train"),
        labels.split("validation"),
        config,
        out=folder,
        name=f"{recipe.name}-parent",
        device=device,
        resume=resume,
    )
    for report in steps:
        yield f"parent, step {report.step:,} of {report.steps:,}, validation {report.score:.3f}"
