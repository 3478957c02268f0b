from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.budget.logistic import descriptor_probabilities
from napari_nucbudget.core.logistic import fit_logistic


@pytest.fixture
def two_clouds():
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2
    x = rng.normal(0, 1, (200, 5)) + 3 * truth[:, None]
    return (100 + 50 * x).astype(np.float32), truth.astype(np.int16)


def test_clouds_are_told_apart_from_a_few_labels(two_clouds):
    x, truth = two_clouds
    label = np.where(np.arange(200) < 8, truth, -1).astype(np.int16)
    prob = descriptor_probabilities(x, label, x, classes=3)
    assert prob.shape == (200, 3)
    np.testing.assert_allclose(prob.sum(axis=1), 1)
    assert (prob.argmax(axis=1) == truth).mean() > 0.97
    assert (prob[:, 2] == 0).all()


def test_labels_that_say_nothing_get_a_strong_penalty():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (60, 20))
    noise, plain = rng.integers(2, size=60), (x[:, 0] > 0).astype(int)
    assert fit_logistic(x, noise).C < 0.1 < fit_logistic(x, plain).C


def test_a_class_with_one_label_still_gives_a_model(two_clouds):
    x, truth = two_clouds
    label = np.where(np.arange(200) < 3, truth, -1).astype(np.int16)
    assert np.isfinite(descriptor_probabilities(x, label, x, classes=2)).all()


def test_a_seed_of_more_than_32_bits_draws_folds_too(two_clouds):
    x, truth = two_clouds
    assert fit_logistic(x, truth, seed=2**32 + 5).C == fit_logistic(x, truth, seed=5).C
