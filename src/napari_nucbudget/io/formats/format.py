"""What every file format of points is, and what of the points it can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme
from napari_nucbudget.types.nuclei import HUMAN

__all__ = ["EVERYTHING", "Format"]

EVERYTHING = frozenset(
    ("id", "yx", "score", "label", "origin", "prob", "classes", "mpp", "image", "shape", "fields")
)
"""What there is to keep: the columns of `Nuclei` and the facts of `PointsFile`."""

Read = Callable[[Path, ClassScheme | None], list[PointsFile]]
Write = Callable[[Path, PointsFile], Path]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name, title : str
        For the command line; for people.
    suffixes : tuple of str
        Lower case; the first is the one that files of this format are given.
    read : callable or None
        Points of every image that a file holds; takes the path and classes that
        replace those of the file. None where the format is only written.
    write : callable or None
        Write the points of one image; None where the format is only read.
    keeps : frozenset of str
        What comes back equal when a written file is read, out of `EVERYTHING`.
    folder : bool
        It is a folder rather than a file.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    read: Read | None
    write: Write | None
    keeps: frozenset[str]
    folder: bool = False

    def loses(self, points: PointsFile) -> list[str]:
        """What of these points a file of this format would not hold, in words."""
        nuclei = points.nuclei
        there = {
            "id": ("ids", len(nuclei) > 0),
            "yx": ("positions", len(nuclei) > 0),
            "score": ("scores", bool((nuclei.score != 1).any())),
            "label": ("classes", bool((nuclei.label >= 0).any())),
            "origin": ("origins", bool((nuclei.origin != HUMAN).any())),
            "prob": ("probabilities", nuclei.prob is not None),
            "classes": ("colours and keys of the classes", nuclei.classes != DEFAULT_CLASSES),
            "mpp": ("the pixel size", points.mpp is not None),
            "image": ("the image's name", bool(points.image)),
            "fields": ("fields", bool(points.fields)),
            "labelled": (
                "patient, tissue, split and licence",
                points.labelled is not None and not self.folder,
            ),
        }
        return [
            words for what, (words, present) in there.items() if present and what not in self.keeps
        ]
