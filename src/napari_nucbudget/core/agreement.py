"""How far two people who dotted the same field agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.class_metrics import confusion_matrix
from napari_nucbudget.core.matching import match
from napari_nucbudget.errors import PointsError
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["Agreement", "agreement", "cohens_kappa"]


@dataclass(frozen=True)
class Agreement:
    """Agreement of two readings.

    Attributes
    ----------
    both, only_first, only_second : int
        Nuclei that both set within the radius of one another, and those of one alone.
    f1 : float or None
        Of either against the other; None where neither set any.
    kappa : float or None
        Cohen's kappa of the classes of nuclei that both set and typed; None where there are
        none, or all have one and the same class, which says nothing beyond chance.
    confusion : list of list of int
        Rows are the classes of the first, columns those of the second.
    radius_um, mpp : float
        How far apart dots of one nucleus may lie, and the pixel size of their image.
    """

    both: int
    only_first: int
    only_second: int
    f1: float | None
    kappa: float | None
    confusion: list[list[int]]
    radius_um: float
    mpp: float


def agreement(first: Nuclei, second: Nuclei, *, radius_um: float, mpp: float) -> Agreement:
    """Agreement in place (F1, one to one within `radius_um`) and in class (Cohen's kappa).

    Raises
    ------
    PointsError
        Where the two have different classes.
    """
    if first.classes != second.classes:
        raise PointsError(
            "Two readings with different classes cannot be compared: "
            f"{list(first.classes.names)} and {list(second.classes.names)}."
        )
    i, j, _ = match(first.yx, second.yx, radius=radius_um / mpp)
    a, b = first.label[i], second.label[j]
    typed = (a >= 0) & (b >= 0)
    confusion = confusion_matrix(a[typed], b[typed], len(first.classes))
    total = len(first) + len(second)
    return Agreement(
        both=len(i),
        only_first=len(first) - len(i),
        only_second=len(second) - len(j),
        f1=2 * len(i) / total if total else None,
        kappa=cohens_kappa(confusion),
        confusion=confusion.tolist(),
        radius_um=radius_um,
        mpp=mpp,
    )


def cohens_kappa(confusion: NDArray[np.integer[Any]]) -> float | None:
    """Agreement beyond chance, (p_o - p_e) / (1 - p_e), of (C, C) counts; None where undefined."""
    total = float(confusion.sum())
    if not total:
        return None
    observed = float(np.trace(confusion)) / total
    expected = float(confusion.sum(axis=0) @ confusion.sum(axis=1)) / total**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
