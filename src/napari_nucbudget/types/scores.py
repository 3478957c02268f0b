"""Scores that carry what they depend on: radius, pixel size, split, kind of average."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DetectionScores", "OperatingPoint", "PRCurve"]


@dataclass(frozen=True)
class OperatingPoint:
    """Counts-based scores of a detector at one threshold."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class PRCurve:
    """Precision and recall at every distinct score, from high to low threshold."""

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def f1(self) -> NDArray[np.float64]:
        total = self.precision + self.recall
        f1: NDArray[np.float64] = np.divide(
            2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0
        )
        return f1

    def best(self) -> OperatingPoint:
        """The point of the highest F1 (the paper's convention, section 3.2)."""
        if not len(self.threshold):
            return OperatingPoint(1.0, 0.0, 0.0, 0.0)
        i = int(np.argmax(self.f1))
        return OperatingPoint(
            float(self.threshold[i]),
            float(self.precision[i]),
            float(self.recall[i]),
            float(self.f1[i]),
        )


@dataclass(frozen=True)
class DetectionScores:
    """How well a detector finds nuclei on a set of images.

    ``precision``, ``recall`` and ``f1`` are at ``threshold``, micro-averaged
    (matches are added up over the images); ``f1_ci`` is the 95 % percentile
    bootstrap over images; ``best`` is at the threshold with the highest F1 on
    these very images, which is how papers quote it.
    """

    images: int
    nuclei: int
    precision: float
    recall: float
    f1: float
    f1_ci: tuple[float, float]
    aupr: float
    threshold: float
    best: OperatingPoint
    radius_um: float
    mpp: float
    seconds: float = 0.0
    task: str = "detection"

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.task, **{k: v for k, v in asdict(self).items() if k != "task"}}
