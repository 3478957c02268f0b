"""What every shipped model promises: it loads, and its card says where it comes from."""

from __future__ import annotations

import re

import pytest

from napari_nucbudget.models.bundle import WEIGHTS_FILE, Detector, sha256_of
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.library import (
    load_card,
    load_classifier,
    load_detector,
    shipped_models,
)
from napari_nucbudget.types.card import ModelCard

SHIPPED = sorted(shipped_models())


@pytest.fixture(params=SHIPPED)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def card(name: str) -> ModelCard:
    return load_card(name)


def test_it_has_the_name_of_its_folder(name: str, card: ModelCard) -> None:
    assert card.name == name


def test_it_loads(name: str, card: ModelCard) -> None:
    if card.task == "detection":
        assert isinstance(load_detector(name, device="cpu"), Detector)
    else:
        assert isinstance(load_classifier(name, device="cpu"), Classifier)


def test_its_weights_have_the_hash_of_the_card(name: str, card: ModelCard) -> None:
    assert sha256_of(shipped_models()[name] / WEIGHTS_FILE) == card.weights_sha256


def test_it_says_what_it_was_trained_on_and_under_which_licence(card: ModelCard) -> None:
    assert card.training_data
    for data in [*card.training_data, *card.validation_data]:
        assert data.licence not in ("", "unknown")
        assert re.fullmatch("[0-9a-f]{64}", data.sha256)
        assert data.images > 0
        assert data.nuclei > 0
    assert card.licence not in ("", "unknown")


def test_it_was_never_trained_or_chosen_on_a_test_split(card: ModelCard) -> None:
    seen = [*card.training_data, *card.validation_data]
    assert all(data.split != "test" for data in seen)
    assert not {d.sha256 for d in card.training_data} & {d.sha256 for d in card.validation_data}


def test_it_has_a_threshold_within_range_and_a_minimum_distance(card: ModelCard) -> None:
    if card.task == "detection":
        assert card.threshold is not None
        assert 0.05 <= card.threshold < 1
        assert card.min_distance_um is not None


def test_it_has_scores_with_intervals_on_a_test_split(card: ModelCard) -> None:
    on_test = [record for record in card.scores if record.split == "test"]
    assert on_test
    for record in on_test:
        assert card.task == "classification" or record.f1_ci is not None
        if record.f1_ci is not None and "f1" in record.metrics:
            assert record.f1_ci[0] <= record.metrics["f1"] <= record.f1_ci[1]
        assert record.images > 0
        assert record.nuclei > 0
        assert record.radius_um is None or record.radius_um > 0
        assert all(0 <= value <= 1 for value in record.metrics.values())
