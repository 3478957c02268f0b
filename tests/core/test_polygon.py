"""Points in a drawn loop, against the plain test of every point."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import points_in_poly

from napari_nucbudget.core.polygon import FEW, inside_polygon
from napari_nucbudget.errors import RegionError


def test_a_loop_with_a_bay_leaves_out_what_lies_in_the_bay() -> None:
    loop = [(0, 0), (0, 10), (10, 10), (10, 0), (8, 0), (8, 8), (2, 8), (2, 0)]
    points = [(1, 5), (5, 5), (5, 9), (9, 1), (11, 5), (-1, 5)]
    assert inside_polygon(points, loop).tolist() == [True, False, True, True, False, False]


@pytest.mark.parametrize("corners", [3, 12, 150])
def test_very_many_points_get_the_answers_of_each_alone(corners: int) -> None:
    rng = np.random.default_rng(corners)
    points = rng.uniform(-100, 1100, (3 * FEW, 2)).astype(np.float32)
    loop = rng.uniform(0, 1000, (corners, 2))  # crosses itself many times
    expected = points_in_poly(points.astype(np.float64), loop)
    assert 0 < expected.sum() < len(points)
    np.testing.assert_array_equal(inside_polygon(points, loop), expected)


def test_a_loop_without_area_holds_nothing() -> None:
    points = np.random.default_rng(0).uniform(0, 10, (2 * FEW, 2))
    assert not inside_polygon(points, [(5, 0), (5, 10), (5, 5)]).any()


@pytest.mark.parametrize("loop", [[(0, 0), (1, 1)], [(0, 0), (1, 1), (np.nan, 2)], [0, 1, 2]])
def test_what_is_no_loop_is_refused(loop: list[object]) -> None:
    with pytest.raises(RegionError, match="loop"):
        inside_polygon([(0, 0)], loop)
