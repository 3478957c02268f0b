"""Labelled images: dots, and the fields in which every nucleus has one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.types.classes import ClassScheme
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.stain import StainStatistics

__all__ = ["SPLITS", "AnnotatedImage", "LabelSet", "Provenance"]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Provenance:
    """Where labels come from, as it goes into a model card."""

    name: str
    licence: str = "unknown"
    cite: str = ""
    stain: str = "H&E"
    notes: str = ""


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image with its dots.

    Attributes
    ----------
    fields : tuple of Region
        Where the annotator declared every nucleus dotted. Detection learns
        background only inside; a nucleus without a dot outside is unknown.
    patient : str
        ``"unknown"`` where it is not given; such images are split by image.
    whole : ImageSource, optional
        The image that this one was cut out of.
    stain : StainStatistics, optional
        How that one is stained; None where it is not known, or this is no crop.
    """

    source: ImageSource
    nuclei: Nuclei
    fields: tuple[Region, ...]
    patient: str = "unknown"
    tissue: str = "unknown"
    split: str = "train"
    dataset: str = ""
    folder: str = ""
    """Whole path of the label set that it was read from: tells sets of one name apart."""
    origin: Provenance | None = None
    whole: ImageSource | None = None
    stain: StainStatistics | None = None

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def identity(self) -> tuple[str, str]:
        """What tells the image from all others: its label set and its name."""
        return self.folder or self.dataset, self.name

    @property
    def mpp(self) -> float:
        """µm per pixel; label sets always have it."""
        if self.source.mpp is None:
            raise LabelSetError(f"The labelled image {self.name!r} has no pixel size.")
        return self.source.mpp

    def in_fields(self) -> Nuclei:
        """The nuclei that lie in a field."""
        inside = np.zeros(len(self.nuclei), dtype=bool)
        for region in self.fields:
            inside |= region.contains(self.nuclei.yx)
        return self.nuclei.select(inside)


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labelled images under one class scheme, possibly of several origins."""

    images: tuple[AnnotatedImage, ...]
    classes: ClassScheme
    provenance: tuple[Provenance, ...] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[AnnotatedImage]:
        return iter(self.images)

    @property
    def nuclei_count(self) -> int:
        return sum(len(image.nuclei) for image in self.images)

    def split(self, name: str) -> LabelSet:
        """The images of one split.

        Raises
        ------
        LabelSetError
            Where there is none; the message lists the splits that exist.
        """
        chosen = tuple(image for image in self.images if image.split == name)
        if not chosen:
            there = sorted({image.split for image in self.images})
            raise LabelSetError(
                f"No image is in the split {name!r}; there are: {', '.join(there)}."
            )
        return replace(self, images=chosen)

    @classmethod
    def concat(cls, parts: list[LabelSet]) -> LabelSet:
        """Several label sets as one; their classes must have the same names.

        Raises
        ------
        LabelSetError
            Where there is none, or the classes differ.
        """
        if not parts:
            raise LabelSetError("There is no label set to join.")
        first = parts[0]
        for part in parts[1:]:
            if part.classes.names != first.classes.names:
                raise LabelSetError(
                    f"Label sets with different classes cannot be joined: "
                    f"{list(first.classes.names)} and {list(part.classes.names)}."
                )
        return cls(
            images=tuple(image for part in parts for image in part.images),
            classes=first.classes,
            provenance=tuple(p for part in parts for p in part.provenance),
        )
