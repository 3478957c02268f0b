"""Classes are names in an order; labels are places in it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass


def test_the_papers_three_classes_are_the_default() -> None:
    assert DEFAULT_CLASSES.names == ("epithelial", "inflammatory", "miscellaneous")
    assert len({c.color for c in DEFAULT_CLASSES.classes}) == 3
    assert len({c.key for c in DEFAULT_CLASSES.classes}) == 3


def test_names_and_labels_are_inverse() -> None:
    for label, name in enumerate(DEFAULT_CLASSES.names):
        assert DEFAULT_CLASSES.index(name) == label
        assert DEFAULT_CLASSES.name(label) == name


@pytest.mark.parametrize("name", ["", "unlabelled"])
def test_no_class_is_minus_one(name: str) -> None:
    assert DEFAULT_CLASSES.index(name) == -1
    assert DEFAULT_CLASSES.name(-1) == "unlabelled"


def test_an_array_of_labels_becomes_names() -> None:
    labels = np.array([2, -1, 0], np.int16)
    names = DEFAULT_CLASSES.to_names(labels)
    assert names.tolist() == ["miscellaneous", "unlabelled", "epithelial"]


def test_an_unknown_name_is_answered_with_near_misses() -> None:
    with pytest.raises(ConfigError, match=r"no class named 'inflamatory'. Did you mean 'inflamm"):
        DEFAULT_CLASSES.index("inflamatory")


@pytest.mark.parametrize("names", [("a", "a"), ("",), ("  ",), ("unlabelled",)])
def test_names_that_would_confuse_files_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"(?i)class name"):
        ClassScheme(tuple(NucleusClass(name, "red") for name in names))
