"""The classes of a file that names them as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import PointsError
from napari_nucbudget.io.formats.colors import hex_of, spare_color
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass

__all__ = ["ClassBook", "by_name", "check_one_each", "other_classes"]


class ClassBook:
    """Labels of class names; a name that is new gets the next label and the file's colour.

    Parameters
    ----------
    classes : ClassScheme, optional
        Those that are known from the start. Without them they are the default
        classes where those suffice, else just the names that were met.
    fixed : bool
        Whether another name is an error.
    """

    def __init__(self, classes: ClassScheme | None = None, *, fixed: bool = False) -> None:
        self.open = classes is None
        self._fixed = fixed and classes is not None
        self._start = classes or DEFAULT_CLASSES
        self._classes = list(self._start.classes)
        self._labels = {c.name: i for i, c in enumerate(self._classes)}
        self._met: dict[int, None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self._classes)

    def label(self, name: str, color: Any = None) -> int:
        """Provisional label of a class, which is made where it is not known.

        Raises
        ------
        ConfigError
            Where it is not known and the classes are fixed.
        """
        found = self._labels.get(name)
        if found is None:
            if self._fixed:
                return self._start.index(name)  # says which there are
            found = self._labels[name] = len(self._classes)
            self._classes.append(NucleusClass(name, hex_of(color) or spare_color(found)))
        self._met[found] = None
        return found

    def close(self, labels: list[int]) -> tuple[ClassScheme, NDArray[np.int16]]:
        """The classes, and the provisional labels as labels of these.

        Raises
        ------
        ConfigError
            Where a name cannot be one of a class.
        """
        given = np.asarray(labels, dtype=np.int16)
        if not self.open or len(self._classes) == len(self._start):
            return ClassScheme(tuple(self._classes)), given
        lookup = np.full(len(self._classes) + 1, -1, dtype=np.int16)  # the last is for -1
        lookup[list(self._met)] = np.arange(len(self._met))
        return ClassScheme(tuple(self._classes[i] for i in self._met)), lookup[given]


def by_name(
    values: list[list[float | None]], wrote: tuple[str, ...], classes: ClassScheme
) -> NDArray[np.float32]:
    """(N, C) probabilities of `classes` from a file that lists them in the order of `wrote`.

    NaN for a class that the file does not have.

    Raises
    ------
    PointsError
        As `check_one_each`.
    """
    check_one_each(values, wrote)
    given = np.array(values, dtype=np.float32).reshape(len(values), len(wrote))
    prob = np.full((len(values), len(classes)), np.nan, dtype=np.float32)
    for column, name in enumerate(wrote):
        if name in classes.names:
            prob[:, classes.names.index(name)] = given[:, column]
    return prob


def check_one_each(values: list[list[float | None]], wrote: tuple[str, ...]) -> None:
    """See that every nucleus has a probability for each class of its file.

    Raises
    ------
    PointsError
        Where one has more or fewer.
    """
    if any(len(row) != len(wrote) for row in values):
        raise PointsError(
            f"a nucleus has not one probability for each of the file's classes, {', '.join(wrote)}."
        )


def other_classes(wrote: Sequence[str], classes: ClassScheme) -> tuple[str, ...]:
    """A sentence where a file has probabilities of other classes (`wrote`) than the wanted ones."""
    extra = [name for name in wrote if name not in classes.names]
    lacking = [name for name in classes.names if name not in wrote]
    told = [f"those of {', '.join(extra)} were left out"] if extra else []
    told += [f"there are none of {', '.join(lacking)}"] if lacking else []
    return (f"The file's probabilities are of other classes: {'; '.join(told)}.",) if told else ()
