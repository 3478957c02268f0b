"""A classifier gives probabilities or refuses, and its card must fit its network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import ModelError, UnknownNameError
from napari_nucbudget.models.bundle import CARD_FILE
from napari_nucbudget.models.classifier import SHIFT, Classifier
from tests.typed_discs import untrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a saved classifier of three classes, patch-cnn."""
    return untrained().save(tmp_path / "typed")


def change_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, **changes}))


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_numbers_are_noticed_when_they_are_used(
    value: float, average: bool
) -> None:
    classifier = untrained()
    with torch.no_grad():
        classifier.network.head.weight[0] = value  # type: ignore[union-attr, index]
    side = classifier.patch + 2 * SHIFT
    with pytest.raises(ModelError, match="'untrained' gives values that are not numbers"):
        classifier.probabilities(np.full((2, side, side, 3), 128, np.uint8), average=average)


@pytest.mark.parametrize("patch", [51, None])
def test_a_patch_of_another_size_is_refused(folder: Path, patch: int | None) -> None:
    spec = json.loads((folder / CARD_FILE).read_text())["input"]
    change_card(folder, input={**spec, "patch": patch})
    words = (
        rf"card\.json is wrong at input\.patch: .*'patch-cnn' takes 27 px, the card says {patch}"
    )
    with pytest.raises(ModelError, match=words):
        Classifier.load(folder, device="cpu")


@pytest.mark.parametrize("left", [2, 0])
def test_classes_that_are_not_as_many_as_the_outputs_are_refused(folder: Path, left: int) -> None:
    classes = json.loads((folder / CARD_FILE).read_text())["classes"]
    change_card(folder, classes=classes[:left])
    words = rf"card\.json is wrong at classes: .* 3 outputs, the card names {left} classes"
    with pytest.raises(ModelError, match=words):
        Classifier.load(folder, device="cpu")


def test_the_network_of_a_detector_is_no_classifier(folder: Path) -> None:
    change_card(folder, architecture="fcn", arguments={})
    words = r"card\.json is wrong at architecture: There is no classifier network named 'fcn'"
    with pytest.raises(UnknownNameError, match=words):
        Classifier.load(folder, device="cpu")
