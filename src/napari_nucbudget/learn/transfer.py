"""Starting from a model that knows another organ (section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.registry import near_misses

__all__ = [
    "CLASSIFIER",
    "CLASSIFIER_COMMON",
    "FINE_TUNE_CLASSIFIER",
    "FINE_TUNE_DETECTOR",
    "classifier_settings",
]

FINE_TUNE_DETECTOR: dict[str, Any] = {
    "learning_rate": 2e-4,
    "steps": 600,
    "steps_per_epoch": 100,
    "patience": 5,
    "parent_share": 0.5,
}
"""What differs from training afresh: a tenth of the rate, less of it, and of the weights that
come out half are the parent's (docs/training.md)."""

CLASSIFIER: dict[str, dict[str, Any]] = {
    "descriptors": {"steps": 400, "batch_size": 40, "learning_rate": 0.05},
    "supervised": {"steps": 600, "batch_size": 40, "learning_rate": 1e-3},
    "fine-tune": {"steps": 300, "batch_size": 40, "learning_rate": 1e-4},
    "gamma-ladder": {"steps": 1_000, "batch_size": 40, "learning_rate": 2e-3},
    # unclipped as in the original: its first gradients, of norm 4,000, are the decoder's
    "ladder": {"steps": 1_000, "batch_size": 40, "learning_rate": 2e-3, "clip_norm": 1e6},
    "fixmatch": {"steps": 1_000, "batch_size": 40, "learning_rate": 2e-3},
}
"""Schedules that need no validation labels, by method."""

FINE_TUNE_CLASSIFIER: dict[str, dict[str, Any]] = {
    "all": {},
    "head": {"learning_rate": 3e-3},
    "discriminative": {"learning_rate": 3e-4},
}
"""What differs from `CLASSIFIER` ["fine-tune"], by `TrainConfig.fine_tune`."""

CLASSIFIER_COMMON: dict[str, Any] = {
    "steps_per_epoch": 100,
    "patience": 1_000,
    "stain_jitter": 0.05,
    "precision": "float32",
    "ema": 0.99,
}
"""Colour tells types apart, so it is jittered less than for detection; the networks are so
small that reduced precision gains nothing."""


def classifier_settings(method: str, chosen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Values for `TrainConfig`: what `chosen` gives, the method's defaults elsewhere.

    Raises
    ------
    ConfigError
        For a method that trains no classifier, or an unknown way to fine-tune.
    """
    chosen = dict(chosen or {})
    if method not in CLASSIFIER:
        raise ConfigError(f"There is no method {method!r}. {near_misses(method, CLASSIFIER)}")
    values = {**CLASSIFIER_COMMON, **CLASSIFIER[method], "method": method}
    if method == "fine-tune":
        way = chosen.get("fine_tune", "all")
        if way not in FINE_TUNE_CLASSIFIER:
            known = ", ".join(FINE_TUNE_CLASSIFIER)
            raise ConfigError(f"fine_tune must be one of {known}, got {way!r}.")
        values |= FINE_TUNE_CLASSIFIER[way]
    return values | chosen
