"""Refusing images that are learnt from and held out at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.labels import AnnotatedImage

__all__ = ["refuse_leak"]

STRIP = 512
"""Rows that are hashed at once."""


def refuse_leak(
    seen: Iterable[AnnotatedImage],
    held: Iterable[AnnotatedImage],
    *,
    seen_in: str = "training",
    held_in: str = "validation",
) -> None:
    """Refuse an image, or a known patient, on both sides.

    An image is known by its label set and name, and by its pixels: a copy under
    another name is found too (but not one that was cropped or compressed anew).

    Parameters
    ----------
    seen, held : iterables of AnnotatedImage
        What is learnt from, and what is kept for choosing or scoring.
    seen_in, held_in : str
        What the message calls them.

    Raises
    ------
    TrainingError
        Which names the first five images or patients.
    """
    seen, held = list(seen), list(held)
    sides = f"in {seen_in} and in {held_in}"
    both = {i.identity for i in seen} & {i.identity for i in held}
    if both:
        raise TrainingError(f"{len(both)} images are {sides}: {_some(n for _, n in both)}.")
    shared = _patients(seen) & _patients(held)
    if shared:
        raise TrainingError(
            f"{len(shared)} patients have images {sides}: {_some(p for _, p in shared)}. "
            "Split by patient, or the scores are too good."
        )
    copies = _copies(seen, held)
    if copies:
        raise TrainingError(
            f"{len(copies)} images are {sides} under two names, with the same pixels: "
            f"{_some(copies)}. Take them out of one of the two, or the scores are too good."
        )


def _patients(images: list[AnnotatedImage]) -> set[tuple[str, str]]:
    return {(i.dataset, i.patient) for i in images if i.patient != "unknown"}


def _copies(seen: list[AnnotatedImage], held: list[AnnotatedImage]) -> list[str]:
    """``a = b`` for images with the same pixels; only those of the same shape are read."""
    shapes = {i.source.shape for i in seen} & {i.source.shape for i in held}
    names = {_digest(i.source): i.name for i in held if i.source.shape in shapes}
    found = [(i.name, names.get(_digest(i.source))) for i in seen if i.source.shape in shapes]
    return [f"{mine} = {theirs}" for mine, theirs in found if theirs is not None]


def _digest(source: ImageSource) -> bytes:
    digest = hashlib.sha256()
    height, width = source.shape
    for y in range(0, height, STRIP):
        digest.update(source.read(Region(y, 0, min(STRIP, height - y), width)).tobytes())
    return digest.digest()


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:5])
