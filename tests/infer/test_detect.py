"""Where proposals lie, which are kept, and the map that thresholds move over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_nucbudget.core.proximity import smooth
from napari_nucbudget.infer.detect import SCORE_FLOOR, detect, iter_detect, peaks
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.nuclei import Nuclei
from tests.reports import collect

MPP = 0.55
REGION = Region(21, 33, 90, 101)


def places(nuclei: Nuclei) -> list[tuple[float, float]]:
    return [tuple(p) for p in nuclei.yx.tolist()]


def dotted(shape: tuple[int, int], yx: NDArray[Any], sigma: float = 1.5) -> NDArray[np.uint8]:
    """White with dark round dots."""
    rows, columns = np.indices(shape)
    dark = np.zeros(shape)
    for y, x in yx:
        dark = np.maximum(dark, np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)))
    return np.repeat((255 * (1 - 0.9 * dark))[..., None], 3, axis=2).astype(np.uint8)


DOTS = np.array([[20.0, 30.0], [20.3, 80.7], [61.5, 14.2], [88.8, 110.4], [45.0, 63.0]])


@pytest.mark.parametrize("mpp", [0.25, 0.4, 0.5, 0.55, 0.8])
def test_dots_are_found_where_they_are_at_any_pixel_size(
    darkness: Callable[..., Detector], mpp: float
) -> None:
    image = dotted((101, 130), DOTS, sigma=0.9 / mpp)
    found = detect(image, darkness(), mpp=mpp, threshold=0.2)
    assert len(found) == len(DOTS)
    distance = np.linalg.norm(found.yx[:, None] - DOTS[None], axis=2).min(axis=0)
    assert distance.max() < 0.3


@pytest.mark.parametrize("rounded", [np.floor, np.ceil])
def test_dots_at_the_far_end_of_a_rounded_pyramid_are_where_they_are(
    darkness: Callable[..., Detector], rounded: Callable[[float], float]
) -> None:
    """A level of floor(n / 4) pixels was still shrunk by 4, not by n / floor(n / 4)."""
    shape = (203, 207)
    dots = np.array([[12.0, 15.0], [190.0, 195.0], [188.0, 14.0]])
    big = dotted(shape, dots, sigma=4.0)
    small_shape = [int(rounded(n / 4)) for n in shape]
    padded = np.pad(big, ((0, 5), (0, 1), (0, 0)), mode="edge")
    small = padded.reshape(52, 4, 52, 4, 3).mean(axis=(1, 3)).astype(np.uint8)
    source = ArraySource([big, small[: small_shape[0], : small_shape[1]]], mpp=0.1375)
    assert ModelGrid.of(source, mpp=0.1375, model_mpp=MPP).level == 1
    found = detect(source, darkness(), threshold=0.2)
    distance = np.linalg.norm(found.yx[:, None] - dots[None], axis=2).min(axis=0)
    assert distance.max() < 0.5


@pytest.mark.parametrize(
    ("mpp", "level"), [(0.55, 0), (0.3, 0), (0.275, 1), (0.2, 1), (0.1375, 2), (0.1, 2)]
)
def test_the_coarsest_level_that_is_fine_enough_is_read(mpp: float, level: int) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    source = ArraySource([pixels, pixels[::2, ::2], pixels[::4, ::4]])
    assert ModelGrid.of(source, mpp=mpp, model_mpp=MPP).level == level


@pytest.mark.parametrize(
    "region", [Region(40, 0, 1, 41), Region(40, 40, 1, 1), Region(0, 40, 41, 1)]
)
def test_the_last_pixels_that_the_grid_rounds_off_can_be_asked_for(
    darkness: Callable[..., Detector], region: Region
) -> None:
    pixels = np.full((41, 41, 3), 255, np.uint8)
    assert len(detect(pixels, darkness(), mpp=0.55 / 4, region=region)) == 0


def test_a_threshold_is_a_selection(tiny_detector: Detector, speckles: NDArray[np.uint8]) -> None:
    everything = detect(speckles, tiny_detector, mpp=MPP, threshold=0.0)
    some = detect(speckles, tiny_detector, mpp=MPP, threshold=0.3)
    assert 0 < len(some) < len(everything)
    assert places(everything.above(0.3)) == places(some)


def test_the_cards_threshold_is_the_default(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    found = detect(speckles, tiny_detector, mpp=MPP)
    assert places(found) == places(detect(speckles, tiny_detector, mpp=MPP, threshold=0.3))


def test_proposals_below_the_floor_are_never_kept(
    darkness: Callable[..., Detector],
) -> None:
    pixels = np.full((30, 30, 3), 255, np.uint8)
    pixels[15, 15] = round(255 * (1 - SCORE_FLOOR * 0.9))
    pixels[5, 5] = 100
    found = detect(pixels, darkness({"smoothing_px": 0}), mpp=MPP, threshold=0.0)
    assert len(found) == 1
    assert found.score[0] > SCORE_FLOOR


def test_scores_lie_in_0_to_1_however_high_the_map(
    detector_with: Callable[..., Detector], speckles: NDArray[np.uint8]
) -> None:
    detector = detector_with()
    with torch.no_grad():
        detector.network.conv6.bias.fill_(3.0)  # type: ignore[union-attr, operator]
    found = detect(speckles, detector, mpp=MPP)
    assert len(found) > 0
    assert set(found.score) == {1.0}


@pytest.mark.parametrize("region", [None, Region(30, 41, 80, 70)])
@pytest.mark.parametrize("distance", [0.6, 1.5, 2.75, 5.0, 9.9])
def test_peaks_of_the_kept_map_are_those_of_running_anew(
    tiny_detector: Detector, speckles: NDArray[np.uint8], region: Region | None, distance: float
) -> None:
    source = ArraySource(speckles, mpp=0.5)
    _, kept = collect(iter_detect(source, tiny_detector, region=region, tile=48, keep_map=True))
    assert kept.score_map is not None
    live = peaks(kept.score_map, tiny_detector, mpp=0.5, min_distance_um=distance)
    anew = detect(
        source, tiny_detector, region=region, tile=4096, threshold=0.0, min_distance_um=distance
    )
    assert len(anew) > 3
    assert len(live) == len(anew)
    np.testing.assert_allclose(live.yx, anew.yx, atol=1e-2)


@pytest.mark.parametrize("tile", [32, 50])
def test_the_kept_map_is_the_whole_map_put_together(
    double_detector: Detector, speckles: NDArray[np.uint8], tile: int
) -> None:
    source = ArraySource(speckles, mpp=0.5)
    maps = [
        collect(iter_detect(source, double_detector, tile=t, keep_map=True))[1].score_map
        for t in (4096, tile)
    ]
    assert maps[0] is not None
    assert maps[1] is not None
    assert (maps[1].origin, maps[1].step) == ((0, 0), 1.1)
    np.testing.assert_allclose(maps[1].values, maps[0].values, atol=1e-6)


def test_a_regions_map_is_a_window_of_the_whole_map(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    source = ArraySource(speckles, mpp=MPP)
    _, all_of_it = collect(iter_detect(source, tiny_detector, keep_map=True))
    _, part = collect(iter_detect(source, tiny_detector, region=REGION, tile=32, keep_map=True))
    assert all_of_it.score_map is not None
    assert part.score_map is not None
    y, x = part.score_map.origin
    assert y <= REGION.y
    assert x <= REGION.x
    height, width = part.score_map.values.shape
    expected = all_of_it.score_map.values[y : y + height, x : x + width]
    np.testing.assert_allclose(part.score_map.values, expected, atol=1e-5)


def test_no_map_is_kept_unless_asked_for(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    assert collect(iter_detect(ArraySource(speckles, mpp=MPP), tiny_detector))[1].score_map is None


def test_progress_ends_at_the_whole_and_counts_the_nuclei(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    reports, result = collect(iter_detect(ArraySource(speckles, mpp=MPP), tiny_detector, tile=64))
    assert len(reports) == 9
    assert [r.done for r in reports] == sorted(r.done for r in reports)
    assert reports[-1].fraction == 1.0
    assert reports[-1].found == len(result.nuclei)


def test_the_origin_of_a_proposal_is_its_model(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    assert set(detect(speckles, tiny_detector, mpp=MPP).origin) == {"tiny"}


def test_a_score_is_the_height_of_the_smoother_map(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    card = tiny_detector.card.model_copy(
        update={"smoothing_px": 0.6, "score_smoothing_px": 1.0, "min_distance_um": 1.7}
    )
    detector = replace(tiny_detector, card=card)
    found = detect(speckles, detector, mpp=MPP, threshold=0.0)
    raw = detector.proximity(speckles.astype(np.float32))
    fine, calm = smooth(raw, 0.6), smooth(smooth(raw, 0.6), 0.8)  # 0.6² + 0.8² = 1.0²
    pixel = np.floor(found.yx + 0.5).astype(int)
    sure = (np.abs(found.yx - pixel) < 0.45).all(axis=1)  # which pixel the peak was is certain
    rows, columns = pixel[sure].T
    assert sure.sum() > 10
    assert not np.allclose(fine[rows, columns], calm[rows, columns], rtol=1e-3)
    np.testing.assert_allclose(
        found.score[sure], np.clip(calm[rows, columns], 0, 1), rtol=1e-4, atol=1e-6
    )


def test_peaks_of_the_kept_map_have_the_scores_of_running_anew(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    card = tiny_detector.card.model_copy(update={"smoothing_px": 0.6, "score_smoothing_px": 2.0})
    detector = replace(tiny_detector, card=card)
    region = Region(20, 30, 60, 70)
    source = ArraySource(speckles, mpp=MPP)
    _, kept = collect(iter_detect(source, detector, region=region, threshold=0.0, keep_map=True))
    assert kept.score_map is not None
    live = peaks(kept.score_map, detector, mpp=MPP, min_distance_um=3.0)
    anew = detect(source, detector, region=region, threshold=0.0, min_distance_um=3.0)
    np.testing.assert_allclose(live.yx, anew.yx, atol=1e-3)
    np.testing.assert_allclose(live.score, anew.score, atol=1e-5)
