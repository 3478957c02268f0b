"""What the cards of the shipped classifiers claim, computed again on real tissue."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_nucbudget.infer.classify import evaluate_classifier
from napari_nucbudget.infer.evaluate import class_score_record
from napari_nucbudget.io.label_hashes import content_hash
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.models.library import load_card, load_classifier, shipped_models
from napari_nucbudget.types.progress import result_of

CARDS = [card for name in shipped_models() if (card := load_card(name)).task == "classification"]
NAMES = [card.name for card in CARDS]


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_the_card_gives_the_score_that_is_computed(nucbudget_data: Path, name: str) -> None:
    """On the smallest set that the card names, since 40 views of every nucleus take long."""
    classifier = load_classifier(name, device="cpu")
    there = [s for s in classifier.card.scores if (nucbudget_data / s.data).is_dir()]
    claimed = min(there, key=lambda s: s.nuclei)
    labels = read_label_set(nucbudget_data / claimed.data, splits=(claimed.split,))
    scores = result_of(evaluate_classifier(labels, classifier))
    found = class_score_record(scores, data=claimed.data, split=claimed.split)
    assert (found.images, found.nuclei) == (claimed.images, claimed.nuclei)
    assert found.metrics == pytest.approx(claimed.metrics, abs=0.003)
    assert found.class_f1 == pytest.approx(claimed.class_f1, abs=0.003)
    assert found.weighted_f1_ci == pytest.approx(claimed.weighted_f1_ci, abs=0.003)


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_the_card_names_the_data_by_its_content(nucbudget_data: Path, name: str) -> None:
    entry = min(load_card(name).training_data, key=lambda e: e.images)
    labels = read_label_set(nucbudget_data / entry.name, splits=(entry.split,))
    assert content_hash(list(labels)) == entry.sha256


@pytest.mark.parametrize("name", NAMES)
def test_the_score_on_test_images_has_an_interval_and_every_class(name: str) -> None:
    card = load_card(name)
    on_test = [record for record in card.scores if record.split == "test"]
    assert on_test
    for record in on_test:
        assert record.weighted_f1_ci is not None
        low, high = record.weighted_f1_ci
        assert low <= record.metrics["weighted_f1"] <= high
        assert tuple(record.class_f1) == card.scheme.names


@pytest.mark.parametrize("name", NAMES)
def test_its_probabilities_are_calibrated_on_validation(name: str) -> None:
    card = load_card(name)
    assert card.temperature is not None
    assert card.validation_data
