"""However an image is cut into tiles or regions, the nuclei are the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_nucbudget.infer.detect import Detection, detect, iter_detect
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.nuclei import Nuclei
from tests.reports import collect

MPP = 0.55


def places(nuclei: Nuclei) -> list[tuple[float, float]]:
    return [tuple(p) for p in nuclei.yx.tolist()]


REGION = Region(21, 33, 90, 101)


@pytest.fixture(scope="module")
def whole(
    double_detector: Detector, speckles: NDArray[np.uint8]
) -> dict[tuple[float, Region | None], Detection]:
    """Results of a single tile that holds the image, per pixel size and region."""
    results = {}
    for mpp, region in ((0.55, None), (0.5, None), (0.25, None), (0.55, REGION), (0.5, REGION)):
        steps = iter_detect(
            ArraySource(speckles, mpp=mpp), double_detector, region=region, threshold=0.1, tile=4096
        )
        reports, results[mpp, region] = collect(steps)
        assert len(reports) == 1
    return results


@pytest.mark.parametrize("tile", [16, 37, 64, 100])
@pytest.mark.parametrize(
    ("mpp", "region"), [(0.55, None), (0.5, None), (0.25, None), (0.55, REGION), (0.5, REGION)]
)
def test_tiled_equals_whole(
    double_detector: Detector,
    speckles: NDArray[np.uint8],
    whole: dict[tuple[float, Region | None], Detection],
    tile: int,
    mpp: float,
    region: Region | None,
) -> None:
    steps = iter_detect(
        ArraySource(speckles, mpp=mpp), double_detector, region=region, threshold=0.1, tile=tile
    )
    _, tiled = collect(steps)
    expected = whole[mpp, region].nuclei
    assert len(expected) > 15
    assert np.array_equal(tiled.nuclei.yx, expected.yx)
    assert np.array_equal(tiled.nuclei.score, expected.score)


@pytest.mark.parametrize("tile", [16, 37, 64, 100])
def test_tiled_equals_whole_on_a_pyramid(
    double_detector: Detector, speckles: NDArray[np.uint8], tile: int
) -> None:
    big = np.repeat(np.repeat(speckles, 2, axis=0), 2, axis=1)
    source = ArraySource([big, speckles, speckles[::2, ::2]], mpp=0.25)
    one = detect(source, double_detector, threshold=0.1, tile=4096)
    assert len(one) > 50
    assert places(detect(source, double_detector, threshold=0.1, tile=tile)) == places(one)


@pytest.mark.parametrize("tile", [16, 37, 100])
def test_a_region_holds_exactly_the_nuclei_of_the_whole_image_that_lie_in_it(
    double_detector: Detector,
    speckles: NDArray[np.uint8],
    whole: dict[tuple[float, Region | None], Detection],
    tile: int,
) -> None:
    everywhere = whole[0.5, None].nuclei
    inside = everywhere.select(REGION.contains(everywhere.yx))
    found = detect(speckles, double_detector, mpp=0.5, region=REGION, threshold=0.1, tile=tile)
    assert places(found) == places(inside)


def test_neighbouring_regions_share_no_nucleus_and_lose_none(
    double_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    everywhere = detect(speckles, double_detector, mpp=0.5, threshold=0.1)
    parts = [
        detect(speckles, double_detector, mpp=0.5, region=Region(y, x, 75, 85), threshold=0.1)
        for y in (0, 75)
        for x in (0, 85)
    ]
    assert sorted(places(Nuclei.concat(parts))) == sorted(places(everywhere))


def test_real_weights_are_the_same_tiled_and_whole(
    real_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    double = replace(real_detector, network=copy.deepcopy(real_detector.network).double())
    one = detect(speckles, double, mpp=0.5, threshold=0.0, tile=4096)
    assert places(detect(speckles, double, mpp=0.5, threshold=0.0, tile=64)) == places(one)


@pytest.mark.parametrize("tile", [8, 16, 37, 100])
@pytest.mark.parametrize("distance", [0.6, 2.75, 9.0])
def test_tiled_equals_whole_where_only_the_minimum_distance_reaches_beyond_a_tile(
    darkness: Callable[..., Detector], speckles: NDArray[np.uint8], tile: int, distance: float
) -> None:
    detector = darkness({"smoothing_px": 0.0, "min_distance_um": distance})
    one = detect(speckles, detector, mpp=MPP, threshold=0.1, tile=4096)
    assert len(one) > 10
    assert places(detect(speckles, detector, mpp=MPP, threshold=0.1, tile=tile)) == places(one)


@pytest.mark.parametrize("tile", [8, 37])
@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_tiled_equals_whole_where_only_smoothing_reaches_beyond_a_tile(
    darkness: Callable[..., Detector], speckles: NDArray[np.uint8], tile: int, sigma: float
) -> None:
    detector = darkness({"smoothing_px": sigma, "min_distance_um": 0.6})
    one = detect(speckles, detector, mpp=MPP, threshold=0.1, tile=4096)
    assert len(one) > 10
    assert places(detect(speckles, detector, mpp=MPP, threshold=0.1, tile=tile)) == places(one)


@pytest.mark.parametrize("tile", [23, 64])
def test_tiled_equals_whole_where_scores_come_from_a_smoother_map(
    darkness: Callable[..., Detector], speckles: NDArray[np.uint8], tile: int
) -> None:
    detector = darkness({"smoothing_px": 0.7, "score_smoothing_px": 3.0, "min_distance_um": 0.6})
    one = detect(speckles, detector, mpp=MPP, threshold=0.1, tile=4096)
    tiled = detect(speckles, detector, mpp=MPP, threshold=0.1, tile=tile)
    assert len(one) > 10
    assert places(tiled) == places(one)
    np.testing.assert_array_equal(tiled.score, one.score)
