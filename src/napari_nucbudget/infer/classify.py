"""Typing nuclei at known places, in an image of any size."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.class_metrics import class_scores
from napari_nucbudget.core.patches import cut_patches
from napari_nucbudget.core.tiling import rows_by_square, tiles
from napari_nucbudget.errors import LabelSetError, PointsError
from napari_nucbudget.infer.detect import ModelGrid, pixel_size
from napari_nucbudget.models.classifier import SHIFT, Classifier
from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.types.stain import StainStatistics

__all__ = [
    "NO_CLASS",
    "classifier_grid",
    "evaluate_classifier",
    "iter_classify",
    "iter_known",
    "typed_together",
]

TILE = 512
NO_CLASS = "None of the nuclei in {count} images has a class."


def iter_classify(
    source: ImageSource,
    nuclei: Nuclei,
    classifier: Classifier,
    *,
    mpp: float | None = None,
    average: bool = True,
    grid: ModelGrid | None = None,
) -> Generator[Progress, None, Nuclei]:
    """Give every nucleus class probabilities and the likeliest class, tile by tile.

    Places, ids, scores and origins stay as they are; a class that a nucleus
    had is replaced. Patches and windows that reach beyond the image are filled by
    mirroring it at its edge. What a nucleus is given does not depend on which others
    are asked about.

    Parameters
    ----------
    source : ImageSource
    nuclei : Nuclei
        Level-0 pixels of `source`.
    classifier : Classifier
    mpp : float, optional
        µm per level-0 pixel; overrides the source's.
    average : bool
        See `Classifier.probabilities`.
    grid : ModelGrid, optional
        `classifier_grid` of the same source, where it is at hand; else it is made here.

    Raises
    ------
    PointsError
        Where a nucleus lies outside the image.
    PixelSizeError
        Where no pixel size is known.
    """
    grid = grid or classifier_grid(source, classifier, mpp=mpp)
    outside = ~Region.whole(source.shape).contains(nuclei.yx)
    if outside.any():
        y, x = nuclei.yx[outside][0]
        raise PointsError(
            f"{int(outside.sum())} of {len(nuclei)} nuclei lie outside {source.name} "
            f"({source.shape[0]} x {source.shape[1]} px), the first at x={x:g}, y={y:g}. "
            "Are they from another image, or another pyramid level?"
        )
    place = _places(grid, nuclei)
    prob = np.zeros((len(nuclei), len(classifier.classes)), dtype=np.float32)
    done = 0
    looks = _in_windows if classifier.takes_windows else _in_patches
    for mine, found in looks(grid, place, classifier, average=average):
        prob[mine] = found
        done += len(mine)
        yield Progress(done, len(nuclei), done)
    label = prob.argmax(axis=1).astype(np.int16)
    return replace(nuclei, label=label, prob=prob, classes=classifier.classes)


Typed = tuple[NDArray[np.intp], NDArray[np.float32]]
"""Which nuclei, and their (N, C) probabilities."""


def _in_patches(
    grid: ModelGrid, place: NDArray[np.floating[Any]], classifier: Classifier, *, average: bool
) -> Iterator[Typed]:
    """Every nucleus by the pixels around it, tile by tile."""
    pixel = np.floor(place + 0.5)
    side = classifier.patch + 2 * SHIFT
    for tile in tiles(_around(pixel), grid.shape, size=TILE, halo=side // 2 + 1):
        mine = np.flatnonzero(tile.core.contains(pixel))
        if len(mine):
            pixels = grid.read(tile.read)
            wide = cut_patches(pixels, pixel[mine] - (tile.read.y, tile.read.x), side)
            yield mine, classifier.probabilities(wide, average=average)


def _in_windows(
    grid: ModelGrid, place: NDArray[np.floating[Any]], classifier: Classifier, *, average: bool
) -> Iterator[Typed]:
    """All nuclei in the middle of a window at once; windows lie on a lattice of the image.

    A nucleus is thereby seen in the same window whatever is asked about, and in whatever
    order.
    """
    core, margin = classifier.core, (classifier.patch - classifier.core) // 2
    for mine in rows_by_square(place, core):
        y, x = np.floor(place[mine[0]] + 0.5).astype(np.int64) // core
        top, left = int(y) * core - margin, int(x) * core - margin
        pixels = grid.read_beyond(Region(top, left, classifier.patch, classifier.patch))
        yield mine, classifier.in_window(pixels, place[mine] - (top, left), average=average)


def typed_together(
    grid: ModelGrid, nuclei: Nuclei, classifier: Classifier
) -> list[NDArray[np.intp]]:
    """Rows of nuclei that cannot be typed apart (windows), or in halves (patches).

    For who leaves out what does not decode: of a list of one, nothing remains to be tried.
    """
    if classifier.takes_windows:
        return rows_by_square(_places(grid, nuclei), classifier.core)
    return np.array_split(np.arange(len(nuclei)), min(2, len(nuclei)))


def _places(grid: ModelGrid, nuclei: Nuclei) -> NDArray[np.floating[Any]]:
    """(N, 2) pixels of the grid; rounding may put a nucleus at the border just off it."""
    return np.clip(nuclei.mapped(1 / grid.step).yx, 0, np.array(grid.shape) - 1)


def classifier_grid(
    source: ImageSource,
    classifier: Classifier,
    *,
    mpp: float | None = None,
    stain: StainStatistics | None = None,
) -> ModelGrid:
    """An image as a classifier takes it: at its pixel size, stained as it expects.

    `stain` is that of the image which `source` is cut out of, where it is known.

    Raises
    ------
    PixelSizeError
        Where no pixel size is known.
    """
    spec = classifier.card.input
    grid = ModelGrid.of(source, mpp=pixel_size(source, mpp), model_mpp=spec.mpp)
    return grid.aligned(spec.stain, stain)


def _around(pixel: NDArray[np.floating[Any]]) -> Region:
    """Smallest region with all of the (N, 2) pixels; nothing else of a slide is looked at."""
    if not len(pixel):
        return Region(0, 0, 0, 0)
    (y, x), (bottom, right) = pixel.min(axis=0), pixel.max(axis=0)
    return Region(int(y), int(x), int(bottom - y) + 1, int(right - x) + 1)


def evaluate_classifier(
    labels: LabelSet, classifier: Classifier, *, average: bool = True
) -> Generator[Progress, None, ClassScores]:
    """Scores over the nuclei of a label set that have a class; progress after every image.

    Raises
    ------
    LabelSetError
        Where no nucleus has a class, or the classes are not the model's.
    """
    started = time.monotonic()
    if labels.classes.names != classifier.classes.names:
        raise LabelSetError(
            f"The labels' classes are {', '.join(labels.classes.names)}; {classifier.card.name} "
            f"knows {', '.join(classifier.classes.names)}."
        )
    known = [(number, image) for number, image in enumerate(labels) if _classes(image).size]
    if not known:
        raise LabelSetError(NO_CLASS.format(count=len(labels)))
    prob = yield from iter_known([image for _, image in known], classifier, average=average)
    return class_scores(
        prob,
        np.concatenate([_classes(image) for _, image in known]),
        np.concatenate([np.full(_classes(image).size, number) for number, image in known]),
        classes=classifier.classes,
        mpp=classifier.card.input.mpp,
        seconds=time.monotonic() - started,
    )


def iter_known(
    images: Iterable[AnnotatedImage], classifier: Classifier, *, average: bool = True
) -> Generator[Progress, None, NDArray[np.float32]]:
    """(N, C) probabilities of the nuclei that have a class, image after image."""
    prob = [np.zeros((0, len(classifier.classes)), np.float32)]
    for image in images:
        known = image.nuclei.select(image.nuclei.label >= 0)
        grid = classifier_grid(image.source, classifier, mpp=image.mpp, stain=image.stain)
        typed = yield from iter_classify(
            image.source, known, classifier, average=average, grid=grid
        )
        assert typed.prob is not None
        prob.append(typed.prob)
    return np.concatenate(prob)


def _classes(image: AnnotatedImage) -> NDArray[np.int16]:
    """(N,) of the nuclei that have one."""
    return image.nuclei.label[image.nuclei.label >= 0]
