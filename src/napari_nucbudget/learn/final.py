"""Training once more, on the validation images too, after these have chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.provenance import training_data
from napari_nucbudget.types.card import ModelCard, TrainingData
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["chosen_facts", "final_labels", "final_settings"]


def final_labels(
    train: LabelSet, validation: LabelSet, chosen: ModelCard
) -> tuple[LabelSet, LabelSet]:
    """Training and validation images, all to be trained on, and none to validate by.

    Parameters
    ----------
    train, validation : LabelSet
        What the chosen model was trained on, and what it was chosen by.
    chosen : ModelCard

    Raises
    ------
    TrainingError
        Where the chosen model has seen other images or other labels, or there is no
        validation image that it could not learn from.
    """
    if not len(validation):
        raise TrainingError(
            f"There is no validation image that {chosen.name} could not learn from: training once "
            "more would bring nothing new."
        )
    for images, seen, use in (
        (train, chosen.training_data, "trained on"),
        (validation, chosen.validation_data, "chosen by"),
    ):
        if differ := _different(training_data(images), seen):
            raise TrainingError(
                f"{chosen.name} was {use} other images or labels of {', '.join(differ)}; its "
                "settings and threshold may not hold for these. Train a model on the data as "
                "they are first."
            )
    whole = (*train.images, *validation.images)
    return replace(train, images=whole), replace(validation, images=())


def _different(now: list[TrainingData], then: list[TrainingData]) -> list[str]:
    """Names of the data sets that are not the same in both."""
    hashes = [{(d.name, d.split): d.sha256 for d in each} for each in (now, then)]
    keys = sorted(hashes[0].keys() | hashes[1].keys())
    return sorted({key[0] for key in keys if hashes[0].get(key) != hashes[1].get(key)})


def final_settings(chosen: ModelCard) -> TrainConfig:
    """The chosen model's settings, with nothing held out.

    Raises
    ------
    TrainingError
        Where its card does not say how it was trained.
    """
    if not chosen.config:
        raise TrainingError(f"The card of {chosen.name} does not say how it was trained.")
    return replace(TrainConfig.from_dict(chosen.config), validation="none")


def chosen_facts(chosen: ModelCard) -> dict[str, Any]:
    """What a final model's card takes over: threshold or temperature, and whose they are."""
    return {
        "chosen_by": chosen.name,
        "threshold": chosen.threshold,
        "temperature": chosen.temperature,
        "split": f"trained on the validation images too, after they chose {chosen.name}",
    }
