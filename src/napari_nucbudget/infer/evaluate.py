"""Comparing a detector's proposals with expert dots, and scores as a card carries them."""

from __future__ import annotations

import math
import time
from collections.abc import Generator

import numpy as np

from napari_nucbudget.core.metrics import ImageDetections, detection_scores
from napari_nucbudget.errors import ConfigError, LabelSetError
from napari_nucbudget.infer.detect import detect
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.card import ScoreRecord
from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.types.scores import DetectionScores

__all__ = [
    "PAPER_RADIUS_UM",
    "class_score_record",
    "compare",
    "evaluate_detector",
    "score_record",
]

CURVE_FLOOR = 0.001
"""Lowest score of a proposal that counts in a curve: all but the flat background."""
PAPER_RADIUS_UM = 3.3
"""Section 3.1: a proposal within 6 px of a dot, at 0.55 µm/px, is a hit."""


def compare(image: AnnotatedImage, detector: Detector) -> ImageDetections:
    """Every proposal in the fields of a labelled image beside its dots, in µm.

    Proposals go down to `CURVE_FLOOR`, so that curves can be drawn from them.
    """
    found = detect(image.source, detector, mpp=image.mpp, threshold=0.0, floor=CURVE_FLOOR)
    inside = np.zeros(len(found), dtype=bool)
    for field in image.fields:
        inside |= field.contains(found.yx)
    found = found.select(inside)
    return ImageDetections(
        predicted_um=found.yx * image.mpp,
        score=found.score,
        truth_um=image.in_fields().yx * image.mpp,
    )


def evaluate_detector(
    labels: LabelSet,
    detector: Detector,
    *,
    radius_um: float = PAPER_RADIUS_UM,
    threshold: float | None = None,
) -> Generator[Progress, None, DetectionScores]:
    """Scores over the images of a label set; yields progress after every image.

    Parameters
    ----------
    labels : LabelSet
        Nuclei outside the fields count neither as hits nor as misses, and an image without
        any field not at all.
    detector : Detector
    radius_um : float
    threshold : float, optional
        Default the card's.

    Raises
    ------
    ConfigError
        Where the radius is not above 0, or infinite.
    LabelSetError
        Where no image has a field.
    """
    if not 0 < radius_um < math.inf:
        raise ConfigError(f"The matching radius must be a length in µm above 0, got {radius_um}.")
    started = time.monotonic()
    dotted = [image for image in labels if image.fields]
    if not dotted:
        raise LabelSetError(
            "No image has a field in which every nucleus is dotted, so that nothing tells a "
            'mistake from a nucleus without a dot. Declare one ("fields" in dataset.json, or in '
            "the annotate dock)."
        )
    pairs = []
    for done, image in enumerate(dotted, start=1):
        pairs.append(compare(image, detector))
        yield Progress(done, len(dotted), sum(len(p.score) for p in pairs), image.name)
    level = detector.card.threshold if threshold is None else threshold
    return detection_scores(
        pairs,
        threshold=0.5 if level is None else level,
        radius_um=radius_um,
        mpp=detector.card.input.mpp,
        seconds=time.monotonic() - started,
    )


def score_record(scores: DetectionScores, *, data: str, split: str) -> ScoreRecord:
    """Scores in the form that a card carries."""
    metrics = {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "aupr": scores.aupr,
        "threshold": scores.threshold,
        "best_f1": scores.best.f1,
        "best_threshold": scores.best.threshold,
    }
    low, high = scores.f1_ci
    return ScoreRecord(
        data=data,
        split=split,
        images=scores.images,
        nuclei=scores.nuclei,
        metrics={key: round(value, 4) for key, value in metrics.items()},
        f1_ci=(round(low, 4), round(high, 4)),
        radius_um=scores.radius_um,
        mpp=scores.mpp,
    )


def class_score_record(scores: ClassScores, *, data: str, split: str) -> ScoreRecord:
    """A classifier's scores in the form that a card carries."""
    metrics = {
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "weighted_f1": scores.weighted_f1,
        "ece": scores.ece,
    }
    low, high = scores.weighted_f1_ci
    return ScoreRecord(
        data=data,
        split=split,
        images=scores.images,
        nuclei=scores.nuclei,
        metrics={key: round(value, 4) for key, value in metrics.items()},
        weighted_f1_ci=(round(low, 4), round(high, 4)),
        class_f1={name: round(value, 4) for name, value in scores.class_f1.items()},
        mpp=scores.mpp,
    )
