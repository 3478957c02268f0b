"""Matching against every possible assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_nucbudget.core.matching import match, pairs_within

# Whole and half numbers, so that equal distances and distances equal to the radius occur.
points = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=5).map(
    lambda drawn: np.array(drawn, dtype=float).reshape(-1, 2) / 2
)


def best_by_trying_all(
    predicted: NDArray[np.float64], truth: NDArray[np.float64], radius: float
) -> tuple[int, float]:
    """Largest number of pairs within the radius, and the least total distance of so many."""
    if len(predicted) > len(truth):
        predicted, truth = truth, predicted
    best = (0, 0.0)
    for order in itertools.permutations(range(len(truth)), len(predicted)):
        distances = [
            float(np.hypot(*(p - truth[j]))) for p, j in zip(predicted, order, strict=True)
        ]
        near = [d for d in distances if d <= radius]
        best = max(best, (len(near), -sum(near)))
    return best[0], -best[1]


@given(points, points, st.sampled_from([0.5, 1.0, 1.5, 2.5, 6.0]))
@settings(max_examples=150)
def test_the_matching_is_the_largest_and_of_those_the_nearest(
    predicted: NDArray[np.float64], truth: NDArray[np.float64], radius: float
) -> None:
    i, _, distance = match(predicted, truth, radius=radius)
    count, total = best_by_trying_all(predicted, truth, radius)
    assert len(i) == count
    assert distance.sum() == pytest.approx(total, abs=1e-9)


@given(points, points, st.floats(0.1, 8.0))
def test_pairs_are_one_to_one_and_within_the_radius(
    predicted: NDArray[np.float64], truth: NDArray[np.float64], radius: float
) -> None:
    i, j, distance = match(predicted, truth, radius=radius)
    assert len(set(i)) == len(i)
    assert len(set(j)) == len(j)
    np.testing.assert_allclose(np.linalg.norm(predicted[i] - truth[j], axis=1), distance, atol=1e-9)
    assert (distance <= radius + 1e-9).all()


def test_two_proposals_on_one_nucleus_are_one_hit() -> None:
    i, j, _ = match(np.array([[0.0, 1.0], [0.0, 0.5]]), np.array([[0.0, 0.0]]), radius=6.0)
    assert (i.tolist(), j.tolist()) == ([1], [0])


def test_it_is_optimal_where_the_nearest_first_is_not() -> None:
    predicted, truth = np.array([[0.0, 0.0], [0.0, 4.0]]), np.array([[0.0, 1.0], [0.0, -3.0]])
    i, j, _ = match(predicted, truth, radius=3.5)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_a_distance_equal_to_the_radius_matches() -> None:
    predicted, truth = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])
    assert len(match(predicted, truth, radius=5.0)[0]) == 1
    assert len(match(predicted, truth, radius=np.nextafter(5.0, 0))[0]) == 0


def test_points_at_the_very_same_place_match() -> None:
    same = np.array([[2.0, 2.0]])
    assert match(same, same, radius=1.0)[2].tolist() == pytest.approx([0.0])
    assert len(pairs_within(same, same, radius=0.0)[0]) == 1


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_on_one_side_matches_nothing(n: int, m: int) -> None:
    i, j, distance = match(np.zeros((n, 2)), np.zeros((m, 2)), radius=3.0)
    assert len(i) == len(j) == len(distance) == 0


def test_far_apart_clusters_do_not_disturb_one_another() -> None:
    rng = np.random.default_rng(0)
    here, there = rng.uniform(0, 6, (5, 2)), rng.uniform(0, 6, (5, 2))
    alone = match(here, there, radius=2.0)
    away = np.array([1e4, 1e4])
    both = match(
        np.concatenate([here, here + away]), np.concatenate([there, there + away]), radius=2.0
    )
    assert len(both[0]) == 2 * len(alone[0])
    assert both[2].sum() == pytest.approx(2 * alone[2].sum(), abs=1e-6)
