"""A kept map knows where it lies in the image."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_nucbudget.types.score_map import ScoreMap


@given(st.floats(0.05, 20), st.integers(0, 1000), st.integers(0, 1000))
def test_to_the_image_and_back_changes_nothing(step: float, y: int, x: int) -> None:
    score_map = ScoreMap(np.zeros((3, 4), np.float32), (y, x), step)
    places = np.array([[0.0, 0.0], [2.3, 1.8]])
    np.testing.assert_allclose(score_map.to_map(score_map.to_level0(places)), places, atol=1e-8)


def test_a_map_pixel_of_two_image_pixels_has_its_centre_between_them() -> None:
    score_map = ScoreMap(np.zeros((3, 4), np.float32), (10, 0), 2.0)
    assert score_map.to_level0(np.array([[0.0, 0.0]])).tolist() == [[20.5, 0.5]]
