"""What speaks against trusting a score: few dots, images that were learnt from, another kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.infer.check import ModelCheck
from napari_nucbudget.models.library import load_card
from napari_nucbudget.project import ProjectImage, ProjectStore, Records, Run
from napari_nucbudget.types.card import ModelCard

__all__ = ["cautions"]

ENOUGH_DOTS = 300
"""From here on a share of dots is known to within about 6 %."""
COARSER = 1.5
PALER = 0.15
"""Difference of mean colour, 0 to 1, from what a model is normalised for."""


def cautions(
    check: ModelCheck,
    cards: Iterable[ModelCard],
    images: Sequence[ProjectImage],
    store: ProjectStore,
) -> list[str]:
    """Sentences; none where nothing is known to be wrong."""
    found = [*_few(check)]
    for card in cards:
        found += _seen(card, images, store)
        found += _unlike(check, card)
    return found


def _few(check: ModelCheck) -> list[str]:
    dots = sum(len(image.dots) for image in check.images)
    found = []
    if len(check.images) == 1:
        found.append("All fields are in one image: nothing is known about other ones.")
    if dots < ENOUGH_DOTS:
        spread = 0.98 / np.sqrt(max(dots, 1))
        found.append(f"Only {dots} dots: chance alone moves recall by up to ±{spread:.0%} (95 %).")
    return found


def _seen(card: ModelCard, images: Sequence[ProjectImage], store: ProjectStore) -> list[str]:
    """What is known about the training images of a model."""
    runs = Records(store).runs()
    learnt, known, current = set[int](), False, card.weights_sha256
    names, path = {card.name}, None
    while run := _run_of(runs, current, names, path):
        known = True
        learnt |= {int(id) for id in run.config.get("images", ())}
        runs = [other for other in runs if other.id < run.id]
        parent = str(run.config.get("parent", ""))
        names, path, current = {parent}, parent, _weights_of(parent)
    mine = [image.name for image in images if image.id in learnt]
    if mine:
        return [
            f"{card.name} was trained on {len(mine)} of these {len(images)} images "
            f"({', '.join(mine[:3])}): the figures are too good. Mark images as test before "
            "training to compare fairly."
        ]
    if known or not card.training_data:
        return []
    sets = ", ".join(sorted({data.name for data in card.training_data}))
    return [f"{card.name} was trained on {sets}; its card cannot say whether on these images."]


def _weights_of(model: str) -> str:
    """Hash of a model's weights; empty where the model is not there any more."""
    try:
        return load_card(model).weights_sha256 if model else ""
    except NucbudgetError:
        return ""


def _run_of(runs: Sequence[Run], sha256: str, names: set[str], path: str | None) -> Run | None:
    """The run of this project that made a model, known by its weights, name or folder."""
    for run in runs:
        model = run.result.get("model")
        folder_name = run.folder.replace("\\", "/").rsplit("/", 1)[-1]
        if sha256 and run.result.get("weights_sha256") == sha256:
            return run
        if folder_name in names or (path and model == path):
            return run
    return None


def _unlike(check: ModelCheck, card: ModelCard) -> list[str]:
    found = []
    coarse = max(image.mpp for image in check.images)
    if coarse > COARSER * card.input.mpp:
        found.append(
            f"The images have {coarse:.3g} µm/px, {card.name} works at {card.input.mpp:.3g}: they "
            "lack detail that it has learnt from."
        )
    mean = np.nanmean([image.mean_rgb for image in check.images], axis=0)
    expected = np.array(card.input.mean)
    if expected.any() and np.abs(mean - expected).max() > PALER:
        how = "darker" if mean.mean() < expected.mean() else "paler"
        found.append(
            f"The fields are {how} or of another colour (mean RGB "
            f"{', '.join(f'{255 * v:.0f}' for v in mean)}) than {card.name} is normalised for "
            f"({', '.join(f'{255 * v:.0f}' for v in expected)}): another stain or scanner?"
        )
    return found
