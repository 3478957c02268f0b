"""What the cards of the shipped detectors claim, computed again on real tissue."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_nucbudget.infer.evaluate import evaluate_detector
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.types.progress import result_of

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("model", "data"), [("colon-fcn", "colon"), ("nuclei-fcn", "prostate")])
def test_the_card_gives_the_validation_score_that_is_computed(
    nucbudget_data: Path, model: str, data: str
) -> None:
    detector = load_detector(model, device="cpu", precision="float32")
    labels = read_label_set(nucbudget_data / data, splits=("validation",))
    steps = evaluate_detector(labels, detector)
    scores = result_of(steps)
    (claimed,) = [s for s in detector.card.scores if (s.data, s.split) == (data, "validation")]
    assert claimed.nuclei == scores.nuclei
    assert claimed.metrics["f1"] == pytest.approx(scores.f1, abs=0.002)
    assert claimed.metrics["aupr"] == pytest.approx(scores.aupr, abs=0.002)
    assert scores.best.f1 - scores.f1 <= 0.02


@pytest.mark.parametrize("model", ["colon-fcn", "nuclei-fcn"])
def test_the_card_names_the_data_by_its_content(nucbudget_data: Path, model: str) -> None:
    from napari_nucbudget.io.label_hashes import content_hash

    seen = load_detector(model, device="cpu").card.training_data
    entry = min(seen, key=lambda e: e.images)
    labels = read_label_set(nucbudget_data / entry.name, splits=(entry.split,))
    assert content_hash(list(labels)) == entry.sha256
