"""Typing at known places, and what is refused before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_nucbudget.core.stain import to_optical_density, to_rgb
from napari_nucbudget.errors import LabelSetError, PointsError
from napari_nucbudget.infer.classify import evaluate_classifier, iter_classify
from napari_nucbudget.infer.evaluate import class_score_record
from napari_nucbudget.models.card_text import describe, score_line
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of
from tests.typed_discs import typed_discs, typed_set, untrained


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return untrained()


def test_nuclei_at_the_corners_are_typed(classifier: Classifier) -> None:
    image = typed_discs("a")
    nuclei = Nuclei.from_points([[-0.5, -0.5], [0, 71], [71.4, 0], [71.4, 71.4]])
    typed = result_of(iter_classify(image.source, nuclei, classifier))
    assert typed.prob is not None
    np.testing.assert_allclose(typed.prob.sum(axis=1), 1, atol=1e-5)


def test_nuclei_outside_are_refused_with_the_first_place(classifier: Classifier) -> None:
    nuclei = Nuclei.from_points([[3, 3], [3, 72], [90, 4]])
    with pytest.raises(
        PointsError,
        match=r"^2 of 3 nuclei lie outside a \(72 x 72 px\), the first at x=72, y=3\. Are they",
    ):
        result_of(iter_classify(typed_discs("a").source, nuclei, classifier))


def test_labels_with_other_classes_are_refused_with_both_lists(classifier: Classifier) -> None:
    scheme = ClassScheme((NucleusClass("round", "#fff"), NucleusClass("flat", "#000")))
    image = typed_discs("a")
    nuclei = replace(image.nuclei, label=np.zeros(9, np.int16), classes=scheme)
    labels = typed_set(replace(image, nuclei=nuclei), classes=scheme)
    with pytest.raises(
        LabelSetError,
        match=r"The labels' classes are round, flat; .* knows epithelial, inflammatory, misc",
    ):
        result_of(evaluate_classifier(labels, classifier))


def test_nuclei_without_a_class_do_not_count(classifier: Classifier) -> None:
    image = typed_discs("a")
    label = np.where(np.arange(9) < 4, image.nuclei.label, -1)
    few = replace(image, nuclei=replace(image.nuclei, label=label.astype(np.int16)))
    assert result_of(evaluate_classifier(typed_set(few), classifier)).nuclei == 4
    none = replace(image, nuclei=replace(image.nuclei, label=np.full(9, -1, np.int16)))
    with pytest.raises(LabelSetError, match="None of the nuclei in 1 images has a class"):
        result_of(evaluate_classifier(typed_set(none), classifier))


def test_a_record_holds_what_was_scored_and_reads_as_words(classifier: Classifier) -> None:
    images = [typed_discs(f"a{i}", "test", seed=i) for i in range(2)]
    scores = result_of(evaluate_classifier(typed_set(*images), classifier))
    record = class_score_record(scores, data="discs", split="test")
    assert (record.images, record.nuclei, record.mpp) == (2, 18, 0.55)
    for name, value in record.metrics.items():
        assert value == pytest.approx(getattr(scores, name), abs=5e-5)
    assert record.class_f1 == pytest.approx(scores.class_f1, abs=5e-5)
    assert record.weighted_f1_ci == pytest.approx(scores.weighted_f1_ci, abs=5e-5)
    line = score_line(record)
    assert line.startswith(f"discs test: weighted F1 {scores.weighted_f1:.3f} (95 % interval ")
    assert line.endswith(f"calibration error {scores.ece:.3f}; 2 images, 18 nuclei at 0.55 µm/px")


def test_a_card_says_whether_its_probabilities_are_calibrated(classifier: Classifier) -> None:
    plain = classifier.card.model_copy(update={"temperature": None})
    assert "calibration  none" in describe(plain)
    fitted = classifier.card.model_copy(update={"temperature": 1.25})
    assert "calibration  temperature 1.25, fitted on validation" in describe(fitted)


def test_a_model_with_a_reference_sees_every_image_stained_like_it() -> None:
    stain = StainReference(mean=(0.3, 0.5, 0.25), std=(0.2, 0.25, 0.15))
    plain, aligned = untrained(), untrained(stain=stain)
    image = large_discs()
    strong = replace(image, source=ArraySource(stained(image, 1.5), mpp=0.55, name="strong"))
    found = {
        (name, which): result_of(iter_classify(each.source, each.nuclei, model)).prob
        for name, model in (("plain", plain), ("aligned", aligned))
        for which, each in (("as it is", image), ("strong", strong))
    }
    moved = {
        name: float(np.abs(found[name, "strong"] - found[name, "as it is"]).mean())
        for name in ("plain", "aligned")
    }
    assert moved["aligned"] < 0.5 * moved["plain"]
    assert "first given that of the training images" in describe(aligned.card)
    assert "stain  " not in describe(plain.card)


def large_discs() -> AnnotatedImage:
    """The drawn discs sixteen times side by side: enough tissue to tell a stain by."""
    image = typed_discs("a")
    rgb = np.tile(image.source.read(Region.whole(image.source.shape)), (4, 4, 1))
    return replace(image, source=ArraySource(rgb, mpp=0.55, name="large"))


def stained(image: AnnotatedImage, strength: float) -> np.ndarray:
    rgb = image.source.read(Region.whole(image.source.shape))
    return np.round(to_rgb(to_optical_density(rgb) * np.float32(strength))).astype(np.uint8)
