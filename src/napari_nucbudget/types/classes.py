"""The classes that a nucleus can have: names, colours, keys, in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.registry import near_misses

__all__ = ["DEFAULT_CLASSES", "UNLABELLED", "ClassScheme", "NucleusClass"]

UNLABELLED = "unlabelled"
"""How files spell "no class given" (label -1 in memory)."""


@dataclass(frozen=True)
class NucleusClass:
    """One class: its name in files, its colour on screen, its key."""

    name: str
    color: str
    key: str = ""


@dataclass(frozen=True)
class ClassScheme:
    """Ordered classes; a label is an index into them, -1 means none.

    Raises
    ------
    ConfigError
        Where a name is empty, doubled, or the reserved word ``unlabelled``.
    """

    classes: tuple[NucleusClass, ...]

    def __post_init__(self) -> None:
        names = self.names
        for name in names:
            if not name.strip() or name == UNLABELLED:
                raise ConfigError(
                    f"{name!r} cannot be a class name: it must not be empty, and "
                    f"{UNLABELLED!r} is reserved for nuclei without a class."
                )
        if len(set(names)) != len(names):
            raise ConfigError(f"Class names must differ from one another, got {list(names)}.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def index(self, name: str) -> int:
        """Label of a class name; -1 for ``unlabelled`` and the empty string."""
        if name in ("", UNLABELLED):
            return -1
        try:
            return self.names.index(name)
        except ValueError:
            known = dict.fromkeys(self.names)
            raise ConfigError(
                f"There is no class named {name!r}. {near_misses(name, known)}"
            ) from None

    def name(self, label: int) -> str:
        """Class name of a label; ``unlabelled`` for -1."""
        return UNLABELLED if label < 0 else self.classes[label].name

    def to_names(self, labels: NDArray[np.int16]) -> NDArray[np.object_]:
        """Names of an array of labels."""
        lookup = np.array([*self.names, UNLABELLED], dtype=object)
        return lookup[labels]


DEFAULT_CLASSES = ClassScheme(
    (
        NucleusClass("epithelial", "#00e5ff", "Q"),
        NucleusClass("inflammatory", "#ffe100", "W"),
        NucleusClass("miscellaneous", "#39ff14", "E"),
    )
)
"""The paper's three classes (section 3.1), in colours that stay visible on H&E."""
