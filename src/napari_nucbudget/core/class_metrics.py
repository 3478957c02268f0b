"""Accuracy, F1 and calibration of nucleus types."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.classes import ClassScheme

__all__ = ["class_scores", "confusion_matrix", "expected_calibration_error", "f1_per_class"]


def confusion_matrix(
    truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], classes: int
) -> NDArray[np.int64]:
    """(classes, classes) counts, rows true, columns predicted."""
    flat = truth.astype(np.int64) * classes + predicted.astype(np.int64)
    counts: NDArray[np.int64] = np.bincount(flat, minlength=classes**2).reshape(classes, classes)
    return counts


def f1_per_class(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """(..., classes) F1; 0 where a class was neither there nor predicted."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    f1: NDArray[np.float64] = np.divide(
        2.0 * hit, total, out=np.zeros(total.shape), where=total > 0
    )
    return f1


def _weighted(confusion: NDArray[Any]) -> NDArray[np.float64]:
    support = confusion.sum(axis=-1)
    total = (f1_per_class(confusion) * support).sum(axis=-1)
    weighted: NDArray[np.float64] = total / np.maximum(support.sum(axis=-1), 1)
    return weighted


def expected_calibration_error(
    prob: NDArray[np.floating[Any]], truth: NDArray[np.integer[Any]], *, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over equal bins, weighted by their share."""
    if not len(prob):
        return 0.0
    confidence = prob.max(axis=1).astype(np.float64)
    right = prob.argmax(axis=1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    gap = np.abs(
        np.bincount(which, weights=confidence, minlength=bins)
        - np.bincount(which, weights=right.astype(float), minlength=bins)
    )
    return float(gap.sum() / max(count.sum(), 1))


def class_scores(
    prob: NDArray[np.floating[Any]],
    truth: NDArray[np.integer[Any]],
    image: NDArray[np.integer[Any]],
    *,
    classes: ClassScheme,
    mpp: float,
    bootstrap: int = 1000,
    seed: int = 0,
    seconds: float = 0.0,
) -> ClassScores:
    """Scores of typed nuclei, with a 95 % bootstrap interval over images.

    Parameters
    ----------
    prob : (N, C) floats
        Class probabilities of nuclei at annotated places.
    truth : (N,) ints
        Labels, none of them -1.
    image : (N,) ints
        Which image each nucleus is from.
    classes : ClassScheme
    mpp : float
        Pixel size at which the classifier worked.
    """
    predicted = prob.argmax(axis=1) if len(prob) else np.zeros(0, np.int64)
    names = np.unique(image)
    per_image = np.stack(
        [confusion_matrix(truth[image == i], predicted[image == i], len(classes)) for i in names]
    )
    total = per_image.sum(axis=0)
    f1 = f1_per_class(total)
    draws = np.random.default_rng(seed).integers(len(names), size=(bootstrap, len(names)))
    low, high = np.percentile(_weighted(per_image[draws].sum(axis=1)), [2.5, 97.5])
    return ClassScores(
        images=len(names),
        nuclei=len(truth),
        accuracy=float(np.trace(total) / max(total.sum(), 1)),
        macro_f1=float(f1.mean()),
        weighted_f1=float(_weighted(total)),
        weighted_f1_ci=(float(low), float(high)),
        class_f1={name: float(value) for name, value in zip(classes.names, f1, strict=True)},
        confusion=total.tolist(),
        ece=expected_calibration_error(prob, truth),
        mpp=mpp,
        seconds=seconds,
    )
