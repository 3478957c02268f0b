"""Regions, pixels as 8-bit RGB, and arrays as images."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, PixelSizeError, RegionError
from napari_nucbudget.types.image import ArraySource, ImageSource, Region, as_rgb8, check_mpp

numbers = st.integers(-20, 40)
sides = st.integers(1, 40)


def rgb(height: int = 6, width: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@given(numbers, numbers, sides, sides)
def test_a_clipped_region_holds_exactly_the_pixels_that_exist(
    y: int, x: int, height: int, width: int
) -> None:
    marked = np.zeros((80, 80), bool)
    marked[y + 20 : y + 20 + height, x + 20 : x + 20 + width] = True
    inside = marked[20:45, 20:50]  # an image of 25 x 30
    try:
        clipped = Region(y, x, height, width).clipped((25, 30))
    except RegionError:
        assert not inside.any()
    else:
        found = np.zeros((25, 30), bool)
        found[clipped.slices] = True
        assert np.array_equal(found, inside)
        assert clipped.area == inside.sum()


@given(numbers, numbers, sides, sides, st.integers(0, 9))
def test_padding_grows_a_region_on_every_side(
    y: int, x: int, height: int, width: int, by: int
) -> None:
    padded = Region(y, x, height, width).padded(by)
    assert (padded.y, padded.x) == (y - by, x - by)
    assert (padded.bottom, padded.right) == (y + height + by, x + width + by)


@pytest.mark.parametrize("region", [Region(0, 0, 0, 5), Region(0, 0, -3, 5), Region(0, 99, 5, 5)])
def test_an_empty_or_outside_region_is_refused(region: Region) -> None:
    with pytest.raises(RegionError, match="does not overlap the image of 10 x 20 pixels"):
        region.clipped((10, 20))


@given(st.floats(-3, 12), st.floats(-3, 12))
def test_a_point_lies_in_exactly_one_of_the_regions_that_share_an_edge(y: float, x: float) -> None:
    regions = [Region(j, i, 5, 5) for j in (-5, 0, 5, 10) for i in (-5, 0, 5, 10)]
    assert sum(bool(r.contains(np.array([[y, x]]))[0]) for r in regions) == 1


def test_a_pixel_reaches_half_a_unit_from_its_centre() -> None:
    edge = np.array([[-0.5, 0.0], [-0.51, 0.0], [4.49, 0.0], [4.5, 0.0]])
    assert Region(0, 0, 5, 5).contains(edge).tolist() == [True, False, True, False]


def test_8_bit_rgb_is_taken_as_it_is() -> None:
    assert np.array_equal(as_rgb8(rgb()), rgb())


def test_alpha_is_dropped() -> None:
    rgba = np.concatenate([rgb(), np.zeros((6, 8, 1), np.uint8)], axis=2)
    assert np.array_equal(as_rgb8(rgba), rgb())


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bit_keeps_the_high_byte(byteorder: str) -> None:
    wide = (rgb().astype(f"{byteorder}u2") << 8) + 200
    assert np.array_equal(as_rgb8(wide), rgb())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_are_scaled(dtype: type) -> None:
    assert np.abs(as_rgb8((rgb() / 255).astype(dtype)).astype(int) - rgb()).max() <= 1


def test_floats_may_overshoot_by_what_interpolation_adds() -> None:
    values = np.array([[[-1e-6, 0.5, 1 + 1e-6]]])
    assert as_rgb8(values).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((6, 8), np.uint8), r"shape \(6, 8\): nuclei are detected on colour"),
        (np.zeros((6, 8, 1), np.uint8), r"shape \(6, 8, 1\)"),
        (np.zeros((6, 8, 2), np.uint8), r"shape \(6, 8, 2\)"),
        (np.zeros((2, 6, 8, 3), np.uint8), r"shape \(2, 6, 8, 3\)"),
        (np.zeros((6, 8, 3), bool), "holds bool values"),
        (np.zeros((6, 8, 3), np.int32), "holds int32 values; 8-bit, 16-bit"),
        (np.zeros((6, 8, 3), np.complex64), "holds complex64 values"),
        (np.full((6, 8, 3), np.nan), "not numbers"),
        (np.full((6, 8, 3), np.inf), "not numbers"),
        (np.full((6, 8, 3), 200.0), r"floats from 0 to 200; floats must lie in 0 \.\. 1"),
        (np.full((6, 8, 3), -0.5), "floats from -0.5 to 0"),
    ],
)
def test_other_pixels_are_refused_with_words(pixels: NDArray[Any], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        as_rgb8(pixels)


def test_an_array_is_an_image_source() -> None:
    source = ArraySource(rgb(), mpp=0.5, name="a")
    assert isinstance(source, ImageSource)
    assert (source.shape, source.mpp, source.name) == ((6, 8), 0.5, "a")
    assert np.array_equal(source.read(Region(1, 2, 3, 4)), rgb()[1:4, 2:6])


@pytest.mark.parametrize("channels", [3, 4])
def test_channels_may_come_first(channels: int) -> None:
    first = np.moveaxis(np.concatenate([rgb(), rgb()[..., :1]], axis=2), -1, 0)[:channels]
    source = ArraySource(first)
    assert source.shape == (6, 8)
    assert np.array_equal(source.read(Region(1, 2, 3, 4)), rgb()[1:4, 2:6])


def test_an_image_of_three_rows_has_its_channels_last() -> None:
    assert ArraySource(rgb(3, 8)).shape == (3, 8)
    assert ArraySource(rgb(3, 8), channel_first=False).shape == (3, 8)


def test_lazy_arrays_are_computed_only_where_they_are_read() -> None:
    seen = []

    def block(block_info: Any = None) -> NDArray[np.uint8]:
        where = block_info[None]["array-location"]
        seen.append(where)
        (top, bottom), (left, right), _ = where
        return rgb(64, 64)[top:bottom, left:right]

    lazy = da.map_blocks(
        block, chunks=((16,) * 4, (16,) * 4, (3,)), dtype=np.uint8, meta=np.zeros((0, 0, 0), "u1")
    )
    source = ArraySource(lazy)
    assert np.array_equal(source.read(Region(20, 20, 10, 10)), rgb(64, 64)[20:30, 20:30])
    assert len(seen) == 1


def test_levels_know_how_much_they_were_shrunk() -> None:
    big = rgb(203, 101)
    source = ArraySource([big, big[::2, ::2], big[::4, ::4], big[:25, :12]])
    assert [level.downsample for level in source.levels] == [1.0, 2.0, 4.0, 8.0]
    assert np.array_equal(source.read(Region(3, 4, 5, 6), 1), big[::2, ::2][3:8, 4:10])


def test_a_level_that_was_not_shrunk_by_a_whole_number_says_so() -> None:
    assert ArraySource([rgb(90, 60), rgb(60, 40)]).levels[1].downsample == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (np.zeros((6, 8), np.uint8), "nuclei are detected on colour"),
        (np.zeros((6, 8, 2), np.uint8), "has 2 channels"),
        (np.zeros((6, 8, 1), np.uint8), r"has 1 channel \("),
        (np.zeros((0, 8, 3), np.uint8), "is empty: 0 x 8 pixels"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)], "largest first"),
    ],
)
def test_what_is_no_colour_image_is_refused(levels: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        ArraySource(levels)


@pytest.mark.parametrize("region", [Region(-1, 0, 3, 3), Region(4, 0, 3, 3), Region(0, 6, 3, 3)])
def test_a_region_that_reaches_outside_is_refused_not_cut(region: Region) -> None:
    with pytest.raises(RegionError, match="reaches outside level 0"):
        ArraySource(rgb()).read(region)


@pytest.mark.parametrize("mpp", [0.05, 0.25, 10.0])
def test_a_plausible_pixel_size_is_given_back(mpp: float) -> None:
    assert check_mpp(mpp, of="a") == mpp


@pytest.mark.parametrize("mpp", [0.0, -0.5, 0.049, 10.1, float("nan"), float("inf")])
def test_a_pixel_size_that_no_microscope_has_is_refused(mpp: float) -> None:
    with pytest.raises(PixelSizeError, match=r"µm/px \(a\) is not plausible for tissue"):
        check_mpp(mpp, of="a")
