"""A detector and a classifier against the dots in fields: scores, and each error by its place."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.class_metrics import class_scores
from napari_nucbudget.core.matching import match
from napari_nucbudget.core.metrics import ImageDetections, detection_scores, pr_curve
from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.infer.classify import iter_classify
from napari_nucbudget.infer.detect import iter_detect
from napari_nucbudget.infer.evaluate import CURVE_FLOOR
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import AnnotatedImage
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.types.scores import DetectionScores, PRCurve

__all__ = ["ErrorKind", "Finding", "ImageCheck", "ModelCheck", "check_models"]

ErrorKind = Literal["missed", "false", "mistyped"]
TILE = 384
SAMPLE = 512
"""Side of the middle of a field whose colours are looked at."""


@dataclass(frozen=True)
class Finding:
    """One error: where in which image (by its place in the list), and at which dot, if any."""

    kind: ErrorKind
    image: int
    y: float
    x: float
    nucleus: int | None
    told: str


@dataclass(frozen=True, eq=False)
class ImageCheck:
    """What one image has shown: `dots` of people and `peaks` of the model in its fields."""

    dots: Nuclei
    peaks: Nuclei
    typed: Nuclei | None
    """The dots that have a class, with the classifier's probabilities and class instead."""
    mpp: float
    mean_rgb: NDArray[np.float64]

    @cached_property
    def in_um(self) -> ImageDetections:
        return ImageDetections(self.peaks.yx * self.mpp, self.peaks.score, self.dots.yx * self.mpp)


@dataclass(frozen=True, eq=False)
class ModelCheck:
    """Answers for any threshold without running a network again."""

    images: tuple[ImageCheck, ...]
    radius_um: float
    threshold: float
    """The detector's own."""
    model_mpp: float
    classifier_mpp: float

    @cached_property
    def curve(self) -> PRCurve:
        return pr_curve([image.in_um for image in self.images], radius=self.radius_um)

    def scores(self, threshold: float) -> DetectionScores:
        """As `evaluate_detector` gives them."""
        return detection_scores(
            [image.in_um for image in self.images],
            threshold=threshold,
            radius_um=self.radius_um,
            mpp=self.model_mpp,
        )

    def types(self) -> ClassScores | None:
        """As `evaluate_classifier` gives them; None without a classifier or typed dots."""
        parts = [(n, i.typed, self._truth(i)) for n, i in enumerate(self.images) if i.typed]
        if not parts:
            return None
        probs = [typed.prob for _, typed, _ in parts]
        return class_scores(
            np.concatenate([p for p in probs if p is not None]),
            np.concatenate([truth for _, _, truth in parts]),
            np.concatenate([np.full(len(truth), n) for n, _, truth in parts]),
            classes=parts[0][1].classes,
            mpp=self.classifier_mpp,
        )

    def cell(self, truth: int, given: int) -> list[Finding]:
        """The dots of one cell of the confusion matrix."""
        found = []
        for number, image in enumerate(self.images):
            if image.typed is None:
                continue
            label = self._truth(image)
            names = image.typed.classes.names
            for row in np.flatnonzero((label == truth) & (image.typed.label == given)):
                yx, prob = image.typed.yx[row], image.typed.prob
                sure = 0.0 if prob is None else float(prob[row, given])
                told = f"{names[truth]}, taken for {names[given]} ({sure:.0%})"
                id = int(image.typed.id[row])
                found.append(Finding("mistyped", number, float(yx[0]), float(yx[1]), id, told))
        return found

    def errors(self, kind: ErrorKind, threshold: float) -> list[Finding]:
        """All errors of a kind, the surest mistakes first."""
        if kind == "mistyped":
            typed = next((i.typed for i in self.images if i.typed), None)
            count = len(typed.classes) if typed else 0
            pairs = [(t, g) for t in range(count) for g in range(count) if t != g]
            return [finding for pair in pairs for finding in self.cell(*pair)]
        found: list[tuple[float, Finding]] = []
        for number, image in enumerate(self.images):
            peaks = image.peaks.above(threshold)
            hit, seen, _ = match(
                peaks.yx * image.mpp, image.dots.yx * image.mpp, radius=self.radius_um
            )
            if kind == "false":
                for row in np.setdiff1d(np.arange(len(peaks)), hit):
                    score, (y, x) = float(peaks.score[row]), peaks.yx[row]
                    told = f"no dot within {self.radius_um:g} µm, score {score:.2f}"
                    found.append((-score, Finding(kind, number, float(y), float(x), None, told)))
            else:
                for row in np.setdiff1d(np.arange(len(image.dots)), seen):
                    y, x = image.dots.yx[row]
                    near = image.peaks.score[
                        np.hypot(*((image.peaks.yx - (y, x)) * image.mpp).T) <= self.radius_um
                    ]
                    best = float(near.max()) if len(near) else 0.0
                    told = f"best score within {self.radius_um:g} µm: {best:.2f}"
                    id = int(image.dots.id[row])
                    found.append((best, Finding(kind, number, float(y), float(x), id, told)))
        return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]

    @staticmethod
    def _truth(image: ImageCheck) -> NDArray[np.int16]:
        """Labels of people for the rows of `typed`."""
        return image.dots.label[image.dots.label >= 0]


def check_models(
    images: Sequence[AnnotatedImage],
    detector: Detector,
    classifier: Classifier | None = None,
    *,
    radius_um: float,
) -> Generator[Progress, None, ModelCheck]:
    """Detect in the fields alone, and type the dots in them that have a class.

    Parameters
    ----------
    images : sequence of AnnotatedImage
        Dots outside the fields count neither as hits nor as misses.

    Raises
    ------
    LabelSetError
        Where there is no field, or the classifier knows other classes.
    """
    if not any(image.fields for image in images):
        raise LabelSetError(
            "There is no field to check against: dot every nucleus of a region, and declare it "
            "under Fields in the annotate dock."
        )
    names = images[0].nuclei.classes.names
    if classifier is not None and set(classifier.classes.names) != set(names):
        raise LabelSetError(
            f"The labels' classes are {', '.join(names)}; {classifier.card.name} knows "
            f"{', '.join(classifier.classes.names)}."
        )
    total = sum(field.area for image in images for field in image.fields)
    checked, done = [], 0
    for image in images:
        if not image.fields:  # nothing of it counts, as in `evaluate_detector`
            continue
        peaks = []
        for number, field in enumerate(image.fields):
            steps = iter_detect(
                image.source,
                detector,
                region=field,
                mpp=image.mpp,
                threshold=0.0,
                floor=CURVE_FLOOR,
                tile=TILE,
            )
            while True:
                try:
                    yield Progress(done, total, message=image.name)
                    next(steps)
                except StopIteration as end:
                    found: Nuclei = end.value.nuclei
                    break
            inside = field.contains(found.yx)
            for earlier in image.fields[:number]:  # what lies in two fields counts once
                inside &= ~earlier.contains(found.yx)
            peaks.append(found.select(inside))
            done += field.area
        dots = image.in_fields()
        typed = None
        known = dots.select(dots.label >= 0)
        if classifier is not None and len(known):
            typed = yield from iter_classify(image.source, known, classifier, mpp=image.mpp)
            typed = _in_order(typed, dots)
        rgb = _mean_rgb(image)
        both = Nuclei.concat(peaks) if peaks else Nuclei.empty()
        checked.append(ImageCheck(dots, both, typed, image.mpp, rgb))
    return ModelCheck(
        tuple(checked),
        radius_um,
        0.5 if detector.card.threshold is None else detector.card.threshold,
        detector.card.input.mpp,
        classifier.card.input.mpp if classifier is not None else 0.0,
    )


def _in_order(typed: Nuclei, dots: Nuclei) -> Nuclei:
    """Labels and probabilities in the order of the dots' classes."""
    order = [typed.classes.names.index(name) for name in dots.classes.names]
    assert typed.prob is not None
    prob = typed.prob[:, order]
    label = prob.argmax(axis=1).astype(np.int16)
    return replace(typed, prob=prob, label=label, classes=dots.classes)


def _mean_rgb(image: AnnotatedImage) -> NDArray[np.float64]:
    """(3,) mean of the middles of the fields, 0 to 1."""
    means = []
    for field in image.fields:
        middle = Region(
            field.y + max(0, field.height - SAMPLE) // 2,
            field.x + max(0, field.width - SAMPLE) // 2,
            min(field.height, SAMPLE),
            min(field.width, SAMPLE),
        )
        means.append(image.source.read(middle).reshape(-1, 3).mean(axis=0) / 255)
    return np.mean(means, axis=0) if means else np.full(3, np.nan)
