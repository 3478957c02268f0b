"""Images, files and settings of every kind, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_nucbudget.errors import (
    ConfigError,
    ImageError,
    PixelSizeError,
    RegionError,
)
from napari_nucbudget.infer.detect import detect, iter_detect
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of

MPP = 0.55


def places(nuclei: Nuclei) -> list[tuple[float, float]]:
    return [tuple(p) for p in nuclei.yx.tolist()]


def test_a_file_is_read_at_the_given_pixel_size_and_closed(
    tmp_path: Path, tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", speckles, photometric="rgb", resolution=(1e4, 4e4), resolutionunit=3
    )
    found = detect(tmp_path / "a.tif", tiny_detector, mpp=MPP)
    assert places(found) == places(detect(speckles, tiny_detector, mpp=MPP))


def test_a_files_own_pixel_size_is_used(
    tmp_path: Path, tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", speckles, photometric="rgb", resolution=(2e4, 2e4), resolutionunit=3
    )
    found = detect(str(tmp_path / "a.tif"), tiny_detector)
    assert places(found) == places(detect(speckles, tiny_detector, mpp=0.5))


def test_a_missing_pixel_size_is_asked_for_never_guessed(
    tmp_path: Path, tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    Image.fromarray(speckles).save(tmp_path / "a.png")
    with pytest.raises(PixelSizeError, match=r"a\.png does not say how large .*--mpp 0\.25"):
        detect(tmp_path / "a.png", tiny_detector)


@pytest.mark.parametrize("mpp", [0.0, -1.0, 0.01, 50.0, float("nan")])
def test_an_absurd_pixel_size_is_refused(
    tiny_detector: Detector, speckles: NDArray[np.uint8], mpp: float
) -> None:
    with pytest.raises(PixelSizeError, match="is not plausible for tissue"):
        detect(speckles, tiny_detector, mpp=mpp)


@pytest.mark.parametrize("mpp", [0.06, 0.25, 0.55, 9.0])
def test_a_1_by_1_image_is_no_error(tiny_detector: Detector, mpp: float) -> None:
    found = detect(np.full((1, 1, 3), 200, np.uint8), tiny_detector, mpp=mpp, threshold=0.0)
    assert np.abs(found.yx).max(initial=0) <= 0.5


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (2, 2), (31, 31)])
def test_images_smaller_than_the_receptive_field_are_no_error(
    tiny_detector: Detector, shape: tuple[int, int]
) -> None:
    found = detect(np.full((*shape, 3), 120, np.uint8), tiny_detector, mpp=0.5, threshold=0.0)
    assert Region.whole(shape).contains(found.yx).all()


def test_nan_is_refused(tiny_detector: Detector) -> None:
    pixels = np.full((40, 40, 3), 0.5, np.float32)
    pixels[20, 20] = np.nan
    with pytest.raises(ImageError, match="values that are not numbers"):
        detect(pixels, tiny_detector, mpp=MPP)


def test_one_channel_is_refused(tiny_detector: Detector) -> None:
    with pytest.raises(ImageError, match=r"detected on colour \(H&E\) images"):
        detect(np.zeros((40, 40), np.uint8), tiny_detector, mpp=MPP)


def test_a_region_outside_the_image_is_refused(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    with pytest.raises(RegionError, match="does not overlap the image of 150 x 170 pixels"):
        detect(speckles, tiny_detector, mpp=MPP, region=Region(150, 0, 10, 10))


def test_a_region_that_reaches_outside_is_cut(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    found = detect(speckles, tiny_detector, mpp=MPP, region=Region(-50, -60, 100, 130))
    inside = detect(speckles, tiny_detector, mpp=MPP, region=Region(0, 0, 50, 70))
    assert places(found) == places(inside)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 1.2}, r"threshold must lie in 0 \.\. 1, got 1\.2"),
        ({"threshold": -0.1}, r"threshold must lie in 0 \.\. 1, got -0\.1"),
        ({"min_distance_um": 0.0}, r"minimum distance must be above 0 µm, got 0\.0"),
        ({"tile": 0}, r"tile must be at least 1 pixel wide, got 0"),
    ],
)
def test_settings_without_sense_are_refused(
    tiny_detector: Detector, speckles: NDArray[np.uint8], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        detect(speckles, tiny_detector, mpp=MPP, **options)


def test_a_model_without_threshold_needs_one(
    detector_with: Callable[..., Detector], speckles: NDArray[np.uint8]
) -> None:
    with pytest.raises(ConfigError, match="threshold must lie in"):
        detect(speckles, detector_with(threshold=None), mpp=MPP)


@pytest.mark.parametrize("grey", [255, 243])
def test_an_empty_slide_has_no_nuclei_and_that_is_no_error(
    real_detector: Detector, grey: int
) -> None:
    blank = np.full((300, 280, 3), grey, np.uint8)
    assert len(detect(blank, real_detector, mpp=0.5)) == 0


def test_a_pyramid_whose_level_lost_half_a_pixel_is_read_to_its_end(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    rgb = np.tile(speckles, (3, 3, 1))[:403, :407]
    half = rgb[:402, :406].reshape(201, 2, 203, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    source = ArraySource([rgb, half], mpp=MPP / 2)
    whole = detect(source, tiny_detector, threshold=0.1)
    for tile in (64, 100):
        tiled = detect(source, tiny_detector, threshold=0.1, tile=tile)
        np.testing.assert_allclose(tiled.yx, whole.yx, atol=1e-3)
    steps = iter_detect(source, tiny_detector, threshold=0.1, keep_map=True)
    kept = result_of(steps).score_map
    assert kept is not None
    assert kept.values.shape == (202, 204)


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1.0])
def test_a_distance_or_floor_without_sense_is_refused(
    tiny_detector: Detector, speckles: NDArray[np.uint8], nonsense: float
) -> None:
    with pytest.raises(ConfigError, match="minimum distance"):
        detect(speckles, tiny_detector, mpp=MPP, min_distance_um=nonsense)
    if nonsense != float("inf"):
        with pytest.raises(ConfigError, match="lowest score"):
            detect(speckles, tiny_detector, mpp=MPP, floor=nonsense)


def test_nested_lists_are_refused_in_words(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    as_lists: Any = speckles[:40, :50].tolist()
    with pytest.raises(ImageError):  # integers of lists have no 8 bits to go by
        detect(as_lists, tiny_detector, mpp=MPP)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("channel_first", [False, True])
def test_few_bits_in_numbers_of_16_are_said(
    tiny_detector: Detector, speckles: NDArray[np.uint8], bits: int, channel_first: bool
) -> None:
    few = speckles.astype(np.uint16) << (bits - 8)
    few = np.moveaxis(few, -1, 0) if channel_first else few
    with pytest.raises(ImageError, match=r"The brightest pixel of image is [\d,]+ of 65,535"):
        detect(few, tiny_detector, mpp=MPP)
    spread = few << (16 - bits)
    found = detect(spread, tiny_detector, mpp=MPP, threshold=0.1)
    assert len(found) > 0
    black = np.zeros((40, 50, 3), np.uint16)  # nothing to go by
    detect(black, tiny_detector, mpp=MPP)
