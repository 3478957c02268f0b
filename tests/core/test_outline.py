"""Drawn polygons, against areas and points that one can check by eye."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.outline import Outline, Outlines
from napari_nucbudget.errors import RegionError


def square(y: float, x: float, side: float) -> np.ndarray:
    return np.array([[y, x], [y, x + side], [y + side, x + side], [y + side, x]], float)


def test_an_outline_holds_what_lies_inside_and_its_area_is_exact() -> None:
    l_shape = Outline(np.array([[0, 0], [0, 10], [4, 10], [4, 4], [10, 4], [10, 0]], float))
    points = np.array([[2, 8], [8, 2], [8, 8], [-1, 2], [2, 2]])
    np.testing.assert_array_equal(l_shape.contains(points), [True, True, False, False, True])
    assert l_shape.area == 64


def test_a_hole_is_no_part_of_its_outline() -> None:
    ring = Outline(square(0, 0, 10), (square(2, 2, 3),))
    np.testing.assert_array_equal(ring.contains(np.array([[3, 3], [8, 8], [1, 1]])), [0, 1, 1])
    assert ring.area == 91


def test_parts_of_a_region_add_up() -> None:
    both = Outlines((Outline(square(0, 0, 2)), Outline(square(10, 20, 3))))
    assert both.area == 13
    np.testing.assert_array_equal(both.contains(np.array([[1, 1], [11, 22], [5, 5]])), [1, 1, 0])
    low, high = both.bounds()
    assert (low.tolist(), high.tolist()) == ([0, 0], [13, 23])


def test_a_bow_tie_crosses_itself_and_a_ring_that_touches_itself_does_not() -> None:
    assert Outline(np.array([[0, 0], [10, 10], [0, 10], [10, 0]], float)).crosses_itself()
    touching = [[0, 0], [0, 10], [5, 5], [10, 10], [10, 0], [5, 5]]
    assert not Outline(np.array(touching, float)).crosses_itself()
    assert not Outline(square(0, 0, 1), (square(0.2, 0.2, 0.1),)).crosses_itself()


@pytest.mark.parametrize("corners", [np.zeros((2, 2)), np.zeros((4, 3))])
def test_two_corners_are_no_outline(corners: np.ndarray) -> None:
    with pytest.raises(RegionError, match="at least 3 corners"):
        Outline(corners)


def test_a_corner_that_is_no_number_is_refused() -> None:
    with pytest.raises(RegionError, match="no number"):
        Outline(np.array([[0, 0], [0, np.nan], [1, 1]]))
