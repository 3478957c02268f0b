"""Precision, recall and their curve against matching anew at every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_nucbudget.core.matching import match
from napari_nucbudget.core.metrics import ImageDetections, area_under, detection_scores, pr_curve
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.types.scores import PRCurve


def drawn(seed: int, *, dots: int = 12, proposals: int = 14, grid: int = 20) -> ImageDetections:
    """Points on a coarse grid with coarse scores, so that ties and exact radii occur."""
    rng = np.random.default_rng(seed)
    return ImageDetections(
        predicted_um=rng.integers(0, grid, (proposals, 2)) / 2,
        score=(rng.integers(1, 10, proposals) / 10).astype(np.float32),
        truth_um=rng.integers(0, grid, (dots, 2)) / 2,
    )


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=4), st.sampled_from([0.5, 1.5, 2.5]))
@settings(max_examples=40)
def test_the_curve_is_what_matching_anew_gives_at_every_threshold(
    seeds: list[int], radius: float
) -> None:
    images = [drawn(seed) for seed in seeds]
    curve = pr_curve(images, radius=radius)
    thresholds = np.unique(np.concatenate([i.score for i in images]))[::-1]
    assert curve.threshold.tolist() == thresholds.astype(float).tolist()
    for threshold, precision, recall in zip(
        curve.threshold, curve.precision, curve.recall, strict=True
    ):
        kept = [i.predicted_um[i.score >= threshold] for i in images]
        hits = sum(
            len(match(k, i.truth_um, radius=radius)[0]) for k, i in zip(kept, images, strict=True)
        )
        assert precision == pytest.approx(hits / sum(map(len, kept)))
        assert recall == pytest.approx(hits / sum(len(i.truth_um) for i in images))


@given(st.integers(0, 10_000))
def test_recall_never_falls_along_the_curve(seed: int) -> None:
    curve = pr_curve([drawn(seed)], radius=1.5)
    assert (np.diff(curve.recall) >= 0).all()


def test_a_curve_without_proposals_is_empty_and_has_no_area() -> None:
    image = ImageDetections(np.zeros((0, 2)), np.zeros(0), np.ones((3, 2)))
    curve = pr_curve([image], radius=3.3)
    assert len(curve.threshold) == 0
    assert area_under(curve) == 0.0
    assert curve.best().f1 == 0.0


def test_proposals_without_a_nucleus_have_no_precision() -> None:
    image = ImageDetections(np.ones((2, 2)), np.array([0.9, 0.4]), np.zeros((0, 2)))
    curve = pr_curve([image], radius=3.3)
    assert curve.precision.tolist() == [0.0, 0.0]
    assert curve.recall.tolist() == [0.0, 0.0]


def test_the_area_is_that_of_trapezoids_with_the_first_precision_held_to_the_left() -> None:
    curve = PRCurve(
        threshold=np.array([0.9, 0.6, 0.3]),
        precision=np.array([1.0, 0.5, 0.6]),
        recall=np.array([0.2, 0.2, 0.6]),
    )
    by_hand = 0.2 * 1.0 + 0.0 + (0.6 - 0.2) * (0.5 + 0.6) / 2
    assert area_under(curve) == pytest.approx(by_hand)


def test_recall_that_is_never_reached_counts_as_nothing() -> None:
    perfect_but_lazy = PRCurve(np.array([0.9]), np.array([1.0]), np.array([0.5]))
    assert area_under(perfect_but_lazy) == pytest.approx(0.5)


def test_a_perfect_detector_has_area_one() -> None:
    dots = np.array([[0.0, 0.0], [0.0, 20.0], [20.0, 0.0]])
    image = ImageDetections(dots, np.array([0.9, 0.5, 0.7]), dots)
    assert area_under(pr_curve([image], radius=3.3)) == pytest.approx(1.0)


def scores(images: list[ImageDetections], **changes: float):
    return detection_scores(images, **{"threshold": 0.4, "radius_um": 1.5, "mpp": 0.55, **changes})


def test_scores_are_counts_added_up_over_the_images() -> None:
    images = [drawn(1), drawn(2, dots=3), drawn(3, proposals=2)]
    kept = [i.predicted_um[i.score >= 0.4] for i in images]
    hits = sum(len(match(k, i.truth_um, radius=1.5)[0]) for k, i in zip(kept, images, strict=True))
    found = scores(images)
    proposed, true = sum(map(len, kept)), sum(len(i.truth_um) for i in images)
    assert found.precision == pytest.approx(hits / proposed)
    assert found.recall == pytest.approx(hits / true)
    assert found.f1 == pytest.approx(2 * hits / (proposed + true))
    assert (found.images, found.nuclei) == (3, true)


def test_the_best_threshold_is_at_least_as_good_as_the_given_one() -> None:
    found = scores([drawn(seed) for seed in range(5)])
    assert found.best.f1 >= found.f1
    at_best = scores([drawn(seed) for seed in range(5)], threshold=found.best.threshold)
    assert at_best.f1 == pytest.approx(found.best.f1)


def test_the_interval_is_the_same_at_every_call_and_holds_the_score() -> None:
    images = [drawn(seed) for seed in range(8)]
    first, second = scores(images), scores(images)
    assert first.f1_ci == second.f1_ci
    assert first.f1_ci[0] <= first.f1 <= first.f1_ci[1]
    assert first.f1_ci[0] < first.f1_ci[1]


def test_another_seed_draws_another_interval() -> None:
    images = [drawn(seed) for seed in range(8)]
    assert scores(images, seed=0).f1_ci != scores(images, seed=1).f1_ci


def test_the_interval_of_one_image_is_its_score() -> None:
    found = scores([drawn(1)])
    assert found.f1_ci == pytest.approx((found.f1, found.f1))


def test_nothing_to_find_and_nothing_proposed_is_perfect_interval_included() -> None:
    empty = ImageDetections(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)))
    found = scores([empty, empty])
    assert found.f1 == 1.0
    assert found.f1_ci == (1.0, 1.0)


def test_scores_of_no_image_are_refused() -> None:
    with pytest.raises(ConfigError, match="no image to score"):
        scores([])


def test_scores_carry_what_they_depend_on() -> None:
    found = scores([drawn(1)], seconds=2.5).to_dict()
    assert next(iter(found)) == "task"
    assert {k: found[k] for k in ("threshold", "radius_um", "mpp", "seconds")} == {
        "threshold": 0.4,
        "radius_um": 1.5,
        "mpp": 0.55,
        "seconds": 2.5,
    }


@pytest.mark.parametrize("threshold", [0.7, 0.1, 0.3])
def test_a_score_equal_to_the_threshold_counts_whatever_type_either_has(threshold: float) -> None:
    dots = np.array([(0.0, 0.0), (50.0, 50.0)])
    for kind in (np.float32, np.float64):
        image = ImageDetections(dots, np.array([threshold, 0.9], kind), dots)
        for value in (threshold, np.float64(threshold), np.float32(threshold)):
            found = detection_scores([image], threshold=value, radius_um=3.3, mpp=0.5)
            assert found.recall == 1.0
