"""Scores of a nucleus classifier, with the kind of average in their names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ClassScores"]


@dataclass(frozen=True)
class ClassScores:
    """How well a classifier types nuclei at known places.

    ``macro_f1`` is the plain mean of the classes' F1, ``weighted_f1`` the mean
    weighted by how many nuclei each class has (the paper's table 3);
    ``weighted_f1_ci`` is its 95 % percentile bootstrap over images.
    ``confusion[i][j]`` counts nuclei of class i that were typed as j. ``ece``
    is the expected calibration error over 15 equal bins of confidence.
    """

    images: int
    nuclei: int
    accuracy: float
    macro_f1: float
    weighted_f1: float
    weighted_f1_ci: tuple[float, float]
    class_f1: dict[str, float]
    confusion: list[list[int]]
    ece: float
    mpp: float
    seconds: float = 0.0
    task: str = "classification"

    def to_dict(self) -> dict[str, Any]:
        """Task first, and at the end what the figures depend on."""
        values = asdict(self)
        task, mpp = values.pop("task"), values.pop("mpp")
        return {"task": task, **values, "mpp": mpp}
