from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from napari_nucbudget.core.class_metrics import class_scores, expected_calibration_error
from napari_nucbudget.types.classes import DEFAULT_CLASSES


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_f1_accuracy_and_confusion_equal_scikit_learns(pairs):
    truth, predicted = np.array(pairs).T
    prob = np.eye(3)[predicted]
    found = class_scores(
        prob, truth, np.zeros(len(truth), int), classes=DEFAULT_CLASSES, mpp=0.55, bootstrap=10
    )
    options = {"labels": [0, 1, 2], "zero_division": 0}
    assert found.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro", **options))
    assert found.weighted_f1 == pytest.approx(
        f1_score(truth, predicted, average="weighted", **options)
    )
    assert list(found.class_f1.values()) == pytest.approx(
        f1_score(truth, predicted, average=None, **options)
    )
    assert found.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert found.confusion == confusion_matrix(truth, predicted, labels=[0, 1, 2]).tolist()


def test_the_interval_holds_the_score():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 400)
    prob = np.eye(3)[np.where(rng.random(400) < 0.7, truth, rng.integers(0, 3, 400))]
    found = class_scores(
        prob, truth, np.repeat(np.arange(20), 20), classes=DEFAULT_CLASSES, mpp=0.55
    )
    low, high = found.weighted_f1_ci
    assert low < found.weighted_f1 < high
    assert high - low < 0.2


def test_calibration_error_by_hand():
    prob = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    truth = np.array([0, 1, 0, 1])  # 0.9: half right; 0.6: both right
    assert expected_calibration_error(prob, truth) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_sure_and_right_is_calibrated():
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0
