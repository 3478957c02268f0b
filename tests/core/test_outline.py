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
    at_a_corner = [[1, 4], [1, 1], [0, 2], [2, 6], [5, 3], [1, 2], [0, 2]]
    assert Outline(np.array(at_a_corner, float)).crosses_itself()


@pytest.mark.parametrize("corners", [np.zeros((2, 2)), np.zeros((4, 3))])
def test_two_corners_are_no_outline(corners: np.ndarray) -> None:
    with pytest.raises(RegionError, match="at least 3 corners"):
        Outline(corners)


def test_a_corner_that_is_no_number_is_refused() -> None:
    with pytest.raises(RegionError, match="no number"):
        Outline(np.array([[0, 0], [0, np.nan], [1, 1]]))


def everywhere(yx: np.ndarray) -> np.ndarray:
    return np.ones(len(yx), bool)


def left_half(yx: np.ndarray) -> np.ndarray:
    return yx[:, 1] < 499.5


SLIDE = (1000, 1000)


@pytest.mark.parametrize(
    ("parts", "area"),
    [
        ((Outline(square(100, 100, 50)),), 2500),
        ((Outline(square(900, 100, 5000)),), 99.5 * 899.5),  # reaches past two edges
        ((Outline(square(-4000, -4000, 4100)),), 100.5 * 100.5),
        ((Outline(square(100, 100, 50)), Outline(square(100, 100, 50))), 2500),
        ((Outline(square(100, 100, 100)), Outline(square(150, 150, 100))), 17500),
        ((Outline(square(100, 100, 100), (square(150, 150, 100),)),), 7500),  # a hole that leaves
        (
            (Outline(square(100, 100, 100), (square(110, 110, 40), square(130, 130, 40))),),
            10000 - 2800,
        ),
        (tuple(Outline(square(7 + 90 * i, 3 + 95 * i, 6)) for i in range(10)), 360),
    ],
)
def test_the_area_on_a_slide_is_that_of_what_is_there(parts, area) -> None:
    # corners lie at pixel centres, the slide's edge half a pixel beyond the last ones
    assert Outlines(parts).area_where(everywhere, SLIDE) == pytest.approx(area, rel=1e-9)


def test_the_area_where_something_holds_is_right_for_small_parts_far_apart() -> None:
    parts = tuple(Outline(square(20 + 90 * i, y, 6)) for i in range(10) for y in (40.0, 900.0))
    assert Outlines(parts).area_where(left_half, SLIDE) == pytest.approx(360, rel=0.01)
    assert Outlines((Outline(square(100, 450, 100)),)).area_where(left_half, SLIDE) == (
        pytest.approx(4950, rel=0.01)
    )


def test_a_part_beside_the_slide_has_no_area_on_it() -> None:
    assert Outlines((Outline(square(2000, 2000, 50)),)).area_where(everywhere, SLIDE) == 0


def test_a_part_too_thin_for_samples_has_its_area() -> None:
    corners = np.array([[0, 0], [900, 900], [900, 900.5], [0, 0.5]], float)
    thin = Outlines((Outline(corners),))
    assert thin.area_where(everywhere, SLIDE) == pytest.approx(450, rel=1e-6)
    sliver = Outline(np.array([[0.2, 0], [900.2, 900], [900.2, 900.01], [0.2, 0.01]], float))
    assert Outlines((sliver,)).area_where(everywhere, SLIDE) == pytest.approx(9, rel=1e-6)


@pytest.mark.parametrize("width", [6, 20, 50, 100])
@pytest.mark.parametrize("side", [1948, 10_000])
def test_a_frame_has_its_area_and_that_of_its_left_half(side: int, width: int) -> None:
    frame = Outlines(
        (Outline(square(10, 10, side), (square(10 + width, 10 + width, side - 2 * width),)),)
    )
    area = side**2 - (side - 2 * width) ** 2
    slide = (side + 20, side + 20)
    assert frame.area_where(everywhere, slide) == pytest.approx(area, rel=1e-9)

    def left(yx: np.ndarray) -> np.ndarray:
        return yx[:, 1] < 10 + side / 2

    assert frame.area_where(left, slide) == pytest.approx(area / 2, rel=0.005)


@pytest.mark.parametrize("width", [3, 60, 500])
def test_a_band_that_leaves_the_slide_has_the_area_that_stays(width: int) -> None:
    ends = np.array([[-300, -300], [41_000, 41_000]], float)
    band = Outlines((Outline(np.concatenate([ends, ends[::-1] + np.array([0, width])])),))
    whole = 40_000 * width - width**2 / 2  # of a slide whose corner the band passes
    assert band.area_where(everywhere, (40_000, 40_000)) == pytest.approx(whole, rel=1e-6)


def test_any_outlines_have_the_area_that_many_points_say() -> None:
    rng = np.random.default_rng(4)
    shape = (400, 600)
    grid = np.stack(np.meshgrid(np.arange(400), np.arange(600), indexing="ij"), -1)
    for _ in range(20):
        parts = tuple(
            Outline(blob(rng, 40, 90), (blob(rng, 10, 40), blob(rng, 10, 40)))
            for _ in range(rng.integers(1, 5))
        )
        region = Outlines(parts)
        inside = region.contains(grid.reshape(-1, 2).astype(float)).reshape(shape)
        found = region.area_where(everywhere, shape)
        assert found == pytest.approx(inside.sum(), rel=0.02, abs=60)

        def checks(yx: np.ndarray) -> np.ndarray:
            return (yx // 25).astype(int).sum(axis=1) % 3 == 0

        wanted = inside & ((grid // 25).sum(axis=-1) % 3 == 0)
        assert region.area_where(checks, shape) == pytest.approx(wanted.sum(), rel=0.05, abs=150)


def blob(rng: np.random.Generator, least: float, most: float) -> np.ndarray:
    """A star-shaped ring somewhere on a slide of 400 x 600 pixels, or across its edge."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, 30))
    radius = rng.uniform(least, most, 30)
    centre = rng.uniform((0, 0), (400, 600))
    return centre + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
