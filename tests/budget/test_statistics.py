from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from napari_nucbudget.budget.statistics import mean_sd, paired_difference


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_the_interval_is_that_of_scipys_paired_t_test(count):
    rng = np.random.default_rng(count)
    one, other = rng.normal(0.7, 0.05, (2, count))
    oracle = stats.ttest_rel(one, other).confidence_interval(0.95)
    found = paired_difference(one.tolist(), other.tolist())
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert found.mean == pytest.approx(one.mean() - other.mean())
    assert found.draws == count


def test_one_draw_has_a_mean_and_no_interval():
    found = paired_difference([0.5], [0.3])
    assert found.mean == pytest.approx(0.2)
    assert math.isnan(found.low)
    assert math.isnan(mean_sd([0.5])[1])


def test_the_deviation_is_over_draws_minus_one():
    assert mean_sd([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, np.std([1, 2, 4], ddof=1)))
