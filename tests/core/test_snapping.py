from __future__ import annotations

import numpy as np

from napari_nucbudget.core.snapping import snapped
from napari_nucbudget.types.score_map import ScoreMap


def bumps(*centres):
    rows, columns = np.indices((60, 80))
    heights = [np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18) for y, x in centres]
    return np.max(heights, axis=0).astype(np.float32)


def test_a_click_beside_a_nucleus_goes_to_its_middle_in_level_0_pixels():
    score_map = ScoreMap(bumps((20, 30), (40, 60)), origin=(100, 200), step=2.0)
    truth = score_map.to_level0(np.array([(20.0, 30.0)]))
    np.testing.assert_allclose(snapped(score_map, truth + 5, radius=12), truth, atol=0.05)


def test_the_nearer_of_two_nuclei_wins():
    score_map = ScoreMap(bumps((20, 20), (20, 32)), origin=(0, 0), step=1.0)
    (place,) = snapped(score_map, [(20, 27)], radius=8)
    np.testing.assert_allclose(place, (20, 32), atol=0.1)


def test_a_click_on_the_lower_of_two_nuclei_stays_there():
    rows, columns = np.indices((60, 80))
    heights = [
        top * np.exp(-((rows - 30) ** 2 + (columns - x) ** 2) / 6)
        for top, x in ((0.5, 30), (1, 36))
    ]
    score_map = ScoreMap(np.max(heights, axis=0).astype(np.float32), origin=(0, 0), step=1.0)
    for radius in (3, 5, 8, 12):
        (place,) = snapped(score_map, [(30, 30)], radius=radius)
        np.testing.assert_allclose(place, (30, 30), atol=0.2)


def test_a_click_far_from_any_nucleus_or_outside_the_map_stays():
    score_map = ScoreMap(bumps((20, 20)), origin=(0, 0), step=1.0)
    clicks = np.array([(45.0, 60.0), (500.0, 500.0), (-40.0, 3.0), (20.0, 35.0)])
    np.testing.assert_array_equal(snapped(score_map, clicks, radius=8), clicks)
