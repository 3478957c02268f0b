"""Classes for the peaks of a run: those that are shown are typed, and none twice."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.infer.classify import iter_classify
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.types.classes import ClassScheme
from napari_nucbudget.types.image import ImageSource
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress

__all__ = ["iter_type_above", "typed_as", "untyped"]


def untyped(nuclei: Nuclei) -> NDArray[np.bool_]:
    """(N,) which nuclei have no probabilities yet."""
    if nuclei.prob is None:
        return np.ones(len(nuclei), np.bool_)
    return np.asarray(~np.isfinite(nuclei.prob).all(axis=1), np.bool_)


def iter_type_above(
    source: ImageSource,
    peaks: Nuclei,
    classifier: Classifier,
    *,
    threshold: float,
    mpp: float | None = None,
) -> Generator[Progress, None, Nuclei]:
    """All `peaks`; those with a score of at least `threshold` have probabilities and a class.

    What the same classes were given before is kept; the others are NaN and without a class.

    Raises
    ------
    PointsError, PixelSizeError
        See `iter_classify`.
    """
    peaks = _with_columns(peaks, classifier.classes)
    asked = np.flatnonzero((peaks.score >= np.float32(threshold)) & untyped(peaks))
    if not len(asked):
        return peaks
    found = yield from iter_classify(source, peaks.select(asked), classifier, mpp=mpp)
    assert peaks.prob is not None
    label, prob = peaks.label.copy(), peaks.prob.copy()
    label[asked], prob[asked] = found.label, found.prob
    return replace(peaks, label=label, prob=prob)


def typed_as(peaks: Nuclei, before: Nuclei) -> Nuclei:
    """`peaks` with the classes that nuclei at the very same places had in `before`."""
    if before.prob is None:
        return peaks
    peaks = _with_columns(peaks, before.classes)
    assert peaks.prob is not None
    places = {tuple(place): row for row, place in enumerate(before.yx.tolist())}
    known = [(row, places.get(tuple(place))) for row, place in enumerate(peaks.yx.tolist())]
    here = np.array([row for row, old in known if old is not None], np.int64)
    there = np.array([old for _, old in known if old is not None], np.int64)
    label, prob = peaks.label.copy(), peaks.prob.copy()
    label[here], prob[here] = before.label[there], before.prob[there]
    return replace(peaks, label=label, prob=prob)


def _with_columns(nuclei: Nuclei, classes: ClassScheme) -> Nuclei:
    if nuclei.prob is not None and nuclei.classes == classes:
        return nuclei
    prob = np.full((len(nuclei), len(classes)), np.nan, np.float32)
    return replace(nuclei, label=np.full(len(nuclei), -1, np.int16), prob=prob, classes=classes)
