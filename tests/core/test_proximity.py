"""Equation 1 against its formula, and peak finding against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max

from napari_nucbudget.core.proximity import gaussian_radius, local_maxima, proximity_map, smooth


def formula(
    yx: list[tuple[float, float]], shape: tuple[int, int], alpha: float, d_max: float
) -> NDArray[np.float64]:
    """Equation 1, pixel by pixel, divided by its maximum."""
    out = np.zeros(shape)
    for y, x in itertools.product(range(shape[0]), range(shape[1])):
        distances = [math.hypot(y - py, x - px) for py, px in yx]
        if distances and min(distances) <= d_max:
            raw = math.exp(alpha * (1 - min(distances) / d_max)) - 1
            out[y, x] = raw / (math.exp(alpha) - 1)
    return out


@pytest.mark.parametrize(
    "yx",
    [
        pytest.param([(6.0, 7.0)], id="one dot"),
        pytest.param([(6.3, 7.8), (9.1, 11.4)], id="two dots whose discs meet"),
        pytest.param([(-2.0, 5.0), (14.9, 17.0)], id="dots outside the image"),
        pytest.param([(40.0, 40.0)], id="a dot too far away"),
        pytest.param([], id="no dot"),
    ],
)
def test_the_map_is_equation_1_at_every_pixel(yx: list[tuple[float, float]]) -> None:
    found = proximity_map(np.array(yx).reshape(-1, 2), (14, 17), alpha=3.0, d_max=5.0)
    np.testing.assert_allclose(found, formula(yx, (14, 17), 3.0, 5.0), atol=1e-6)


def test_the_map_is_one_at_a_dot_and_zero_at_d_max_and_beyond() -> None:
    found = proximity_map(np.array([[0.0, 0.0]]), (1, 8), alpha=3.0, d_max=5.0)
    assert found[0, 0] == 1.0
    assert found[0, 4] > 0
    assert list(found[0, 5:]) == [0.0, 0.0, 0.0]


def test_the_map_is_float32() -> None:
    assert proximity_map(np.zeros((0, 2)), (3, 4), alpha=3.0, d_max=5.0).dtype == np.float32


@given(st.floats(0.5, 6.0), st.floats(1.5, 12.0), st.data())
@settings(max_examples=20)
def test_the_map_falls_with_distance_within_zero_and_one(
    alpha: float, d_max: float, data: st.DataObject
) -> None:
    y, x = data.draw(st.tuples(st.floats(0, 20), st.floats(0, 20)))
    found = proximity_map(np.array([[y, x]]), (21, 21), alpha=alpha, d_max=d_max)
    rows, columns = np.indices((21, 21))
    order = np.argsort(np.hypot(rows - y, columns - x).ravel(), kind="stable")
    assert found.min() >= 0
    assert found.max() <= 1
    assert (np.diff(found.ravel()[order]) <= 1e-6).all()


@given(st.lists(st.tuples(st.floats(0, 49), st.floats(0, 49)), max_size=40))
@settings(max_examples=40)
def test_points_to_map_to_points_gives_the_points_back(drawn: list[tuple[float, float]]) -> None:
    points: list[tuple[float, float]] = []
    for y, x in drawn:  # a peak is a pixel: two points must be apart by more than their rounding
        if all(math.hypot(y - py, x - px) > 5 + math.sqrt(2) for py, px in points):
            points.append((y, x))
    values = proximity_map(np.array(points).reshape(-1, 2), (50, 50), alpha=3.0, d_max=8.0)
    found = local_maxima(values, min_distance=5.0, threshold=0.05)
    assert len(found.yx) == len(points)
    for y, x in points:
        assert np.abs(found.yx - (y, x)).max(axis=1).min() <= 0.5 + 1e-6


def test_refinement_brings_lone_points_back_within_a_quarter_of_a_pixel() -> None:
    rng = np.random.default_rng(3)
    points = np.stack(np.meshgrid(np.arange(10, 90, 16), np.arange(10, 90, 16)), -1).reshape(-1, 2)
    points = points + rng.uniform(-0.5, 0.5, points.shape)
    values = smooth(proximity_map(points, (100, 100), alpha=3.0, d_max=8.0), 1.0)
    found = local_maxima(values, min_distance=5.0, threshold=0.05)
    distance = np.linalg.norm(found.yx[:, None] - points[None], axis=2).min(axis=0)
    rounded = np.linalg.norm(found.pixel[:, None] - points[None], axis=2).min(axis=0)
    assert distance.max() < 0.25
    assert distance.mean() < 0.4 * rounded.mean()


def brute_force(
    values: NDArray[np.floating], min_distance: float, threshold: float
) -> list[tuple[int, int]]:
    """Pixels that nothing within reach exceeds, the first in reading order among equals."""
    peaks = []
    height, width = values.shape
    pixels = list(itertools.product(range(height), range(width)))
    for y, x in pixels:
        if not values[y, x] >= threshold:
            continue
        rivals = [
            (v, u)
            for v, u in pixels
            if (v, u) != (y, x) and (v - y) ** 2 + (u - x) ** 2 <= min_distance**2
        ]
        higher = any(values[r] > values[y, x] for r in rivals)
        equal_before = any(values[r] == values[y, x] and r < (y, x) for r in rivals)
        if not higher and not equal_before:
            peaks.append((y, x))
    return peaks


@pytest.mark.parametrize("min_distance", [0.5, 1.0, 1.5, 2.0, 3.7, 5.0])
@pytest.mark.parametrize("levels", [None, 255, 4], ids=["float", "8 bit", "2 bit"])
def test_local_maxima_are_those_of_brute_force(min_distance: float, levels: int | None) -> None:
    rng = np.random.default_rng(int(10 * min_distance))
    for _ in range(3):
        values = gaussian_filter(rng.random((13, 16)), 0.8)
        values = (values - values.min()) / np.ptp(values)
        if levels:
            values = np.round(values * levels) / levels
        found = local_maxima(values, min_distance=min_distance, threshold=0.3)
        assert [tuple(p) for p in found.pixel] == brute_force(values, min_distance, 0.3)


def test_on_maps_without_ties_there_are_as_many_peaks_as_scikit_image_finds() -> None:
    values = gaussian_filter(np.random.default_rng(0).random((120, 120)), 3.0)
    values = (values - values.min()) / np.ptp(values)
    # Where every 3 x 3 maximum stands alone, both definitions agree.
    ours = local_maxima(values, min_distance=1.5, threshold=0.2)
    theirs = peak_local_max(
        values, min_distance=1, threshold_abs=0.2, exclude_border=False, p_norm=np.inf
    )
    assert sorted(map(tuple, ours.pixel)) == sorted(map(tuple, theirs))


@given(st.integers(0, 2**32 - 1), st.floats(1.0, 6.0))
@settings(max_examples=25)
def test_no_two_peaks_lie_within_the_minimum_distance(seed: int, min_distance: float) -> None:
    values = np.round(np.random.default_rng(seed).random((30, 30)) * 20) / 20
    pixel = local_maxima(values, min_distance=min_distance, threshold=0.0).pixel
    apart = np.linalg.norm(pixel[:, None] - pixel[None], axis=2)
    assert (apart[~np.eye(len(pixel), dtype=bool)] > min_distance).all()


def test_a_plateau_gives_one_peak_at_its_first_pixel() -> None:
    values = np.zeros((20, 20))
    values[5:9, 6:15] = 0.7
    found = local_maxima(values, min_distance=3.0, threshold=0.1)
    assert found.pixel.tolist() == [[5, 6]]
    assert found.height.tolist() == pytest.approx([0.7])


def test_an_even_map_gives_one_peak() -> None:
    assert len(local_maxima(np.ones((30, 40)), min_distance=5.0, threshold=0.5).yx) == 1


def test_an_empty_threshold_gives_no_peak() -> None:
    assert len(local_maxima(np.zeros((9, 9)), min_distance=3.0, threshold=0.05).yx) == 0


def test_a_height_equal_to_the_threshold_is_a_peak() -> None:
    values = np.zeros((5, 5), np.float32)
    values[2, 2] = 0.25
    assert len(local_maxima(values, min_distance=2.0, threshold=0.25).yx) == 1


def test_nan_is_no_peak_and_hides_none() -> None:
    values = np.zeros((9, 9))
    values[4, 4] = 0.8
    values[4, 5] = values[0, 0] = np.nan
    found = local_maxima(values, min_distance=3.0, threshold=0.1)
    assert found.pixel.tolist() == [[4, 4]]
    assert found.yx.tolist() == [[4.0, 4.0]]


def test_a_map_of_nothing_but_nan_gives_no_peak() -> None:
    assert len(local_maxima(np.full((5, 5), np.nan), min_distance=3.0, threshold=0.0).yx) == 0


def test_an_8_bit_map_is_taken_as_it_is() -> None:
    values = np.zeros((7, 7), np.uint8)
    values[3, 2] = 200
    found = local_maxima(values, min_distance=2.0, threshold=10)
    assert found.pixel.tolist() == [[3, 2]]
    assert found.height.tolist() == [200.0]


def test_a_peak_on_the_border_is_not_refined_across_it() -> None:
    values = np.zeros((6, 6))
    values[0, 3], values[1, 3], values[0, 4] = 1.0, 0.9, 0.5
    found = local_maxima(values, min_distance=2.0, threshold=0.5)
    assert found.yx[0, 0] == 0.0
    assert 3.0 < found.yx[0, 1] <= 3.5


def test_a_parabola_is_refined_to_its_top() -> None:
    rows, columns = np.indices((11, 11))
    values = 1 - 0.01 * ((rows - 5.3) ** 2 + (columns - 4.8) ** 2)
    found = local_maxima(values, min_distance=3.0, threshold=0.5)
    np.testing.assert_allclose(found.yx, [[5.3, 4.8]], atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_maps_of_one_row_or_column_have_peaks(shape: tuple[int, int]) -> None:
    values = np.full(shape, 0.2)
    values[shape[0] // 2, shape[1] // 2] = 0.9
    assert len(local_maxima(values, min_distance=5.0, threshold=0.5).yx) == 1


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.5])
@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (31, 29)])
def test_smoothing_is_scipys_gaussian_filter(sigma: float, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).random(shape)
    expected = gaussian_filter(values, sigma, truncate=4.0, mode="reflect")
    np.testing.assert_allclose(smooth(values, sigma), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_smoothing_keeps_the_type_of_floats(dtype: type) -> None:
    assert smooth(np.ones((5, 5), dtype), 1.0).dtype == dtype


def test_smoothing_an_8_bit_map_does_not_round() -> None:
    values = np.zeros((9, 9), np.uint8)
    values[4, 4] = 10
    assert smooth(values, 2.0).sum() == pytest.approx(10, rel=1e-5)


def test_smoothing_with_sigma_0_changes_nothing() -> None:
    values = np.random.default_rng(1).random((4, 5))
    assert smooth(values, 0.0) is values


def test_smoothing_looks_no_further_than_its_stated_radius() -> None:
    values = np.zeros((1, 41))
    values[0, 20] = 1.0
    reached = np.flatnonzero(smooth(values, 1.7)[0])
    assert reached.max() - 20 == gaussian_radius(1.7)


def test_numbers_in_another_byte_order_have_the_same_peaks() -> None:
    values = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    other = values.astype(">f4")
    np.testing.assert_array_equal(smooth(other, 1.5), smooth(values, 1.5))
    found, expected = (
        local_maxima(each, min_distance=3, threshold=0.5).pixel for each in (other, values)
    )
    np.testing.assert_array_equal(found, expected)
