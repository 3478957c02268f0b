"""Starting from a model that knows another organ (section 2.2)."""

from __future__ import annotations

from typing import Any

__all__ = ["FINE_TUNE_DETECTOR"]

FINE_TUNE_DETECTOR: dict[str, Any] = {
    "learning_rate": 2e-4,
    "steps": 2_000,
    "steps_per_epoch": 200,
    "patience": 5,
}
"""What differs from training afresh: a tenth of the rate, and less of it."""
