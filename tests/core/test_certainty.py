from __future__ import annotations

import numpy as np

from napari_nucbudget.core.certainty import certainty
from napari_nucbudget.types.nuclei import Nuclei


def test_a_score_of_one_half_is_a_coin_s_toss():
    nuclei = Nuclei.from_points(np.zeros((3, 2)), score=[0.5, 1.0, 0.25])
    np.testing.assert_allclose(certainty(nuclei), [0, 1, 0.5])


def test_the_class_s_margin_counts_where_it_is_the_lower_and_known():
    prob = [[0.5, 0.4, 0.1], [1, 0, 0], [np.nan] * 3]
    nuclei = Nuclei.from_points(np.zeros((3, 2)), score=[1.0, 0.75, 1.0], prob=prob)
    np.testing.assert_allclose(certainty(nuclei), [0.1, 0.5, 1], atol=1e-6)
