"""Splitting labelled images, by patient where patients are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ConfigError, LabelSetError
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet

__all__ = [
    "budget_size",
    "cut_into_fields",
    "field_budget",
    "hold_out",
    "label_budget",
    "patients",
    "small_fields",
]


def hold_out(labels: LabelSet, *, fraction: float = 0.2, seed: int = 0) -> LabelSet:
    """The label set with some of its training images turned into validation images.

    Images of one patient stay together; an image whose patient is
    ``"unknown"`` counts as a patient of its own. At least one patient is held
    out, and at least one is left. Images of other splits stay as they are.

    Raises
    ------
    LabelSetError
        Where the training images come from fewer than two patients.
    """
    train = [image for image in labels if image.split == "train"]
    everyone = sorted({_patient(image) for image in train})
    if len(everyone) < 2:
        raise LabelSetError(
            f"There is no validation image, and none can be split off: the {len(train)} training "
            "images come from one patient. Label at least one image of another patient."
        )
    count = min(max(1, round(fraction * len(everyone))), len(everyone) - 1)
    rng = np.random.default_rng(seed)
    chosen = {everyone[i] for i in rng.choice(len(everyone), size=count, replace=False)}
    images = tuple(
        replace(image, split="validation")
        if image.split == "train" and _patient(image) in chosen
        else image
        for image in labels
    )
    return replace(labels, images=images)


def label_budget(labels: LabelSet, count: int, *, seed: int = 0) -> LabelSet:
    """The label set with only `count` labels left; the other nuclei become unlabelled.

    The draw is stratified (each class keeps its share) and nested: with one
    seed, the labels of a smaller budget are among those of a larger one.

    Raises
    ------
    LabelSetError
        Where there are fewer labels, or a class would be left without any.
    """
    every = np.concatenate([image.nuclei.label for image in labels])
    known = np.flatnonzero(every >= 0)
    if not 1 <= count <= len(known):
        raise LabelSetError(
            f"A budget of {count} labels was asked for, but {len(known)} nuclei are labelled."
        )
    kept = known[_stratified_order(every[known], np.random.default_rng(seed))[:count]]
    for index, name in enumerate(labels.classes.names):
        if (every == index).any() and not (every[kept] == index).any():
            raise LabelSetError(
                f"A budget of {count} labels leaves none for {name!r} "
                f"({int((every == index).sum())} of {len(known)}); allow more labels."
            )
    thinned = np.full_like(every, -1)
    thinned[kept] = every[kept]
    ends = np.cumsum([len(image.nuclei) for image in labels])[:-1]
    images = tuple(
        replace(image, nuclei=replace(image.nuclei, label=part))
        for image, part in zip(labels, np.split(thinned, ends), strict=True)
    )
    return replace(labels, images=images)


def budget_size(text: str, known: int) -> int:
    """How many of `known` things ``"40"`` or ``"1%"`` means; a percentage is at least 1.

    Raises
    ------
    ConfigError
        For anything but a positive number, or a percentage above 0 and up to 100.
    """
    number = text.removesuffix("%").strip()
    try:
        value = float(number) if text.endswith("%") else int(number)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf") or (text.endswith("%") and value > 100):
        raise ConfigError(f"A budget is a number such as 40, or a percentage, got {text!r}.")
    return max(1, round(known * value / 100)) if text.endswith("%") else int(value)


def cut_into_fields(region: Region, side: float) -> list[Region]:
    """Rectangles of about `side` x `side` pixels that cover a region without overlap.

    Each side is divided evenly into the number of parts that comes nearest.
    """
    count_y = max(1, round(region.height / side))
    count_x = max(1, round(region.width / side))
    rows = np.linspace(region.y, region.bottom, count_y + 1).round().astype(int).tolist()
    columns = np.linspace(region.x, region.right, count_x + 1).round().astype(int).tolist()
    return [
        Region(top, left, bottom - top, right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def small_fields(labels: LabelSet, *, side_um: float) -> list[tuple[int, Region]]:
    """Every square of about `side_um` in the fields, with the index of its image."""
    return [
        (number, small)
        for number, image in enumerate(labels)
        for field in image.fields
        for small in cut_into_fields(field, side_um / image.mpp)
    ]


def field_budget(labels: LabelSet, budget: str, *, side_um: float, seed: int = 0) -> LabelSet:
    """The label set with only some small fields left in which every nucleus is dotted.

    The fields of all images are cut into squares of about `side_um`, of which
    `budget` (a number, or a percentage of all) are drawn. The draw is nested:
    with one seed, the fields of a smaller budget are among those of a larger
    one. The first field drawn is one that holds a dot, since nothing can be
    learnt from none. Dots outside the fields, and images without any field,
    are left out. All fields (``"100%"``) are the label set as it is.

    Raises
    ------
    LabelSetError
        Where there are fewer fields, or none holds a dot.
    """
    pairs = small_fields(labels, side_um=side_um)
    count = budget_size(budget, len(pairs))
    if count > len(pairs):
        raise LabelSetError(
            f"A budget of {count} fields of {side_um:g} µm was asked for, but the "
            f"{len(labels)} images hold {len(pairs)}."
        )
    if count == len(pairs):
        return labels
    order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    dotted = (
        place
        for place, which in enumerate(order)
        if pairs[which][1].contains(labels.images[pairs[which][0]].nuclei.yx).any()
    )
    first = next(dotted, None)
    if first is None:
        raise LabelSetError(f"None of the {len(pairs)} fields holds a dot.")
    order.insert(0, order.pop(first))
    chosen: dict[int, list[Region]] = {}
    for which in sorted(order[:count]):
        number, field = pairs[which]
        chosen.setdefault(number, []).append(field)
    thinned = [replace(labels.images[n], fields=tuple(fields)) for n, fields in chosen.items()]
    images = tuple(replace(image, nuclei=image.in_fields()) for image in thinned)
    return replace(labels, images=images)


def _stratified_order(classes: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.intp]:
    """Order in which every beginning holds each class in about its share."""
    place = np.zeros(len(classes))
    for index in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == index))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def patients(labels: LabelSet) -> int:
    """Number of patients; an image whose patient is ``"unknown"`` counts as one."""
    return len({_patient(image) for image in labels})


def _patient(image: AnnotatedImage) -> tuple[str, str]:
    unknown = image.patient == "unknown"
    return image.dataset, f"image {image.name}" if unknown else image.patient
