"""Means over draws, and differences of two methods draw by draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Paired", "mean_sd", "paired_difference"]


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation over draws (n - 1); nan for a single one."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else math.nan


@dataclass(frozen=True)
class Paired:
    """Mean difference of two methods on the same draws, with its 95 % interval."""

    draws: int
    mean: float
    low: float
    high: float


def paired_difference(one: Sequence[float], other: Sequence[float]) -> Paired:
    """``one - other``, draw by draw, with the t interval of its mean; nan with one draw.

    Draws of one target share its test images: the interval says how sure the
    difference is for other labels and seeds, not for other patients.
    """
    difference = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    mean, sd = mean_sd(difference.tolist())
    if len(difference) < 2:
        return Paired(len(difference), mean, math.nan, math.nan)
    from scipy.stats import t

    reach = float(t.ppf(0.975, len(difference) - 1)) * sd / math.sqrt(len(difference))
    return Paired(len(difference), mean, mean - reach, mean + reach)
