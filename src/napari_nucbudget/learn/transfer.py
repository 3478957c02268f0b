"""Starting from a model that knows another organ (section 2.2)."""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSIFIER", "CLASSIFIER_COMMON", "FINE_TUNE_DETECTOR"]

FINE_TUNE_DETECTOR: dict[str, Any] = {
    "learning_rate": 2e-4,
    "steps": 2_000,
    "steps_per_epoch": 200,
    "patience": 5,
}
"""What differs from training afresh: a tenth of the rate, and less of it."""

CLASSIFIER: dict[str, dict[str, Any]] = {
    "supervised": {"steps": 600, "batch_size": 40, "learning_rate": 1e-3},
    "fine-tune": {"steps": 300, "batch_size": 40, "learning_rate": 1e-4},
    "gamma-ladder": {"steps": 1_000, "batch_size": 40, "learning_rate": 2e-3},
    "ladder": {"steps": 1_000, "batch_size": 40, "learning_rate": 2e-3},
    "fixmatch": {"steps": 1_000, "batch_size": 40, "learning_rate": 2e-3},
}
"""Schedules that need no validation labels, by method."""

CLASSIFIER_COMMON: dict[str, Any] = {
    "steps_per_epoch": 100,
    "patience": 1_000,
    "stain_jitter": 0.05,
    "precision": "float32",
    "ema": 0.99,
}
"""Colour tells types apart, so it is jittered less than for detection; the networks are so
small that reduced precision gains nothing."""
