"""Tissue is told from glass, ink and dust on drawn slides, and on a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from napari_nucbudget.core import tissue
from napari_nucbudget.core.overview import read_overview
from napari_nucbudget.core.tissue import (
    TissueMask,
    find_tissue,
    otsu_threshold,
    tissue_mask,
)
from napari_nucbudget.errors import ConfigError, RegionError, SlideGoneError, TileError
from napari_nucbudget.io.formats.csv import read_points_csv
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.samples.locate import sample_path
from napari_nucbudget.types.image import ArraySource, Region

MPP = 8.0
GLASS, EOSIN, HAEMATOXYLIN, PALE = (243, 241, 243), (226, 158, 196), (118, 80, 150), (236, 212, 228)
BLUE, GREEN, BLACK = (45, 60, 165), (40, 135, 70), (32, 30, 34)


def slide(side: int = 400, seed: int = 0) -> NDArray[np.uint8]:
    """Glass as a camera sees it: nearly white, with noise."""
    noise = np.random.default_rng(seed).normal(0, 1.5, (side, side, 3))
    return np.clip(np.array(GLASS) + noise, 0, 255).astype(np.uint8)


def painted(rgb: NDArray[np.uint8], where: Any, colour: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(1).normal(0, 6, rgb[where].shape)
    rgb[where] = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def with_tissue() -> NDArray[np.uint8]:
    """Glass with a square of tissue of 200 x 200 pixels (2.56 mm²) in its middle."""
    rgb = slide()
    painted(rgb, np.s_[100:300, 100:300], EOSIN)
    painted(rgb, np.s_[120:180, 120:260], HAEMATOXYLIN)
    return rgb


def agreement(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())


def square() -> NDArray[np.bool_]:
    true = np.zeros((400, 400), np.bool_)
    true[100:300, 100:300] = True
    return true


def test_tissue_on_glass_is_found_to_a_square() -> None:
    assert agreement(tissue_mask(with_tissue(), mpp=MPP), square()) > 0.97


def test_glass_alone_has_no_tissue() -> None:
    assert not tissue_mask(slide(), mpp=MPP).any()


def test_a_slide_full_of_tissue_is_tissue_all_over() -> None:
    rgb = slide()
    painted(rgb, np.s_[:], EOSIN)
    painted(rgb, np.s_[:200], HAEMATOXYLIN)  # Otsu alone would cut between the stains
    assert tissue_mask(rgb, mpp=MPP).mean() > 0.99


def test_pale_stroma_beside_strong_stain_is_kept() -> None:
    rgb = with_tissue()
    painted(rgb, np.s_[240:300, 100:300], PALE)
    assert agreement(tissue_mask(rgb, mpp=MPP), square()) > 0.95


@pytest.mark.parametrize("ink", [BLUE, GREEN, BLACK], ids=["blue", "green", "black"])
def test_a_pen_mark_on_glass_is_no_tissue(ink: tuple[int, int, int]) -> None:
    rgb = with_tissue()
    painted(rgb, np.s_[20:60, 40:380], ink)
    found = tissue_mask(rgb, mpp=MPP)
    assert not found[:70].any()
    assert agreement(found, square()) > 0.97


@pytest.mark.parametrize("ink", [BLUE, GREEN, BLACK], ids=["blue", "green", "black"])
def test_a_pen_mark_across_tissue_takes_away_itself_and_a_margin(ink: tuple[int, int, int]) -> None:
    rgb = with_tissue()
    painted(rgb, np.s_[190:210, :], ink)
    found = tissue_mask(rgb, mpp=MPP)
    assert not found[190:210].any()
    assert found[120:180, 120:280].all()
    assert found[222:280, 120:280].all()


def test_fat_within_tissue_is_tissue() -> None:
    rgb = with_tissue()
    for y in range(210, 290, 10):  # cells of 64 µm with walls of 16 µm
        for x in range(110, 290, 10):
            rgb[y : y + 8, x : x + 8] = GLASS
    assert agreement(tissue_mask(rgb, mpp=MPP), square()) > 0.95


def test_a_small_piece_of_glass_at_the_border_is_no_hole_in_tissue() -> None:
    rgb = slide(60)
    painted(rgb, np.s_[:, 7:], EOSIN)  # 7 x 60 squares of 8 µm are 0.027 mm² of glass
    found = tissue_mask(rgb, mpp=MPP)
    assert not found[:, :5].any()
    assert found[:, 9:].all()


def test_a_dark_fold_is_tissue() -> None:
    rgb = with_tissue()
    painted(rgb, np.s_[140:150, 100:300], (72, 36, 92))
    assert agreement(tissue_mask(rgb, mpp=MPP), square()) > 0.97


def test_dust_and_specks_of_pigment_change_nothing() -> None:
    rgb = with_tissue()
    for y, x in ((30, 30), (350, 60), (60, 350)):
        painted(rgb, np.s_[y : y + 6, x : x + 6], EOSIN)
    painted(rgb, np.s_[250:252, 200:202], BLACK)
    assert agreement(tissue_mask(rgb, mpp=MPP), square()) > 0.97


def test_grey_shadow_and_what_was_not_scanned_are_no_tissue() -> None:
    rgb = with_tissue()
    painted(rgb, np.s_[:40], (180, 180, 182))
    rgb[360:] = 0
    assert agreement(tissue_mask(rgb, mpp=MPP), square()) > 0.97


@pytest.mark.parametrize("mpp", [2.0, 4.0, 16.0, 32.0])
def test_the_pixel_size_of_the_overview_does_not_matter(mpp: float) -> None:
    factor = round(MPP / mpp) if mpp < MPP else 1
    rgb = np.repeat(np.repeat(with_tissue(), factor, 0), factor, 1)
    true = np.repeat(np.repeat(square(), factor, 0), factor, 1)
    if mpp > MPP:
        step = round(mpp / MPP)
        rgb, true = rgb[::step, ::step], true[::step, ::step]
    assert agreement(tissue_mask(rgb, mpp=mpp), true) > 0.93


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (3, 2, 3), (0, 5, 3)])
def test_tiny_and_empty_overviews_are_answered(shape: tuple[int, ...]) -> None:
    assert tissue_mask(np.full(shape, 240, np.uint8), mpp=MPP).shape == shape[:2]


@pytest.mark.parametrize("bad", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32)])
def test_what_is_no_8_bit_colour_image_is_refused(bad: NDArray[Any]) -> None:
    with pytest.raises(ConfigError, match="8-bit pixels"):
        tissue_mask(bad, mpp=MPP)


@pytest.mark.parametrize("side", [1, 2, 7, 16, 80])
def test_the_pixels_of_a_square_are_counted_by_the_rule(side: int) -> None:
    rng = np.random.default_rng(side)
    rgb = rng.integers(0, 256, (150, 90, 3)) * rng.random((150, 90, 1)) ** 2
    rgb[:40] = rgb[:40, :, :1]  # grey, some of it 0
    rgb = rgb.astype(np.uint8)
    red, green, blue = rgb.astype(int).transpose(2, 0, 1)
    largest, smallest = rgb.max(axis=2).astype(int), rgb.min(axis=2).astype(int)
    ink = (green - red > 12) | (blue - red > 70)
    dark = (largest < 100) & (largest - smallest < 28)
    saturation = (largest - smallest) * 255 // np.maximum(largest, 1) * ~(ink | dark)
    rows, columns = np.arange(0, 150, side), np.arange(0, 90, side)
    for threshold in (14, 22, 30):
        counts = tissue._squares(rgb, threshold, side)
        for found, flags in zip(counts, (saturation >= threshold, ink, dark), strict=True):
            true = np.add.reduceat(np.add.reduceat(flags.astype(int), rows), columns, axis=1)
            assert found.tolist() == true.tolist()
    histogram = np.bincount(saturation.ravel(), minlength=256)
    assert tissue._saturations(rgb).tolist() == histogram.tolist()


@given(st.lists(st.integers(0, 255), min_size=2, max_size=300))
def test_the_threshold_is_the_one_of_scikit_image(values: list[int]) -> None:
    counts = np.bincount(values, minlength=256)
    if len(set(values)) == 1:
        assert otsu_threshold(counts) == 0
        return
    ours = otsu_threshold(counts) - 1
    theirs = int(threshold_otsu(hist=(counts.astype(float), np.arange(256))))
    assert between(counts, ours) == pytest.approx(between(counts, theirs))


def between(counts: NDArray[Any], last_below: int) -> float:
    """Variance between the classes of a split, from its definition."""
    values = np.arange(256)
    low, high = counts[: last_below + 1], counts[last_below + 1 :]
    means = [
        np.average(v, weights=c)
        for v, c in ((values[: last_below + 1], low), (values[last_below + 1 :], high))
    ]
    return float(low.sum() * high.sum() * (means[0] - means[1]) ** 2)


def test_the_nuclei_of_the_drawn_biopsy_lie_on_tissue() -> None:
    source = open_image(sample_path("drawn_biopsy.ome.tif"))
    truth = read_points_csv(sample_path("drawn_biopsy.truth.csv")).nuclei
    found = find_tissue(source, mpp=0.5)
    assert found.contains(truth.yx).mean() > 0.99


class TestMask:
    MASK = TissueMask(np.array([[0, 1, 0], [0, 0, 0]], np.bool_), 10.0)

    def test_points_lie_on_it_by_their_pixel(self) -> None:
        points = np.array([[5, 9.4], [5, 9.6], [9.4, 19.4], [9.6, 15], [-5, 15], [5, 40]])
        assert self.MASK.contains(points).tolist() == [False, True, True, False, False, False]

    def test_points_in_the_rounded_off_rest_belong_to_the_last_square(self) -> None:
        mask = TissueMask(np.array([[0, 1]], np.bool_), 10.0)
        assert mask.contains(np.array([[3.0, 21.0]])).tolist() == [True]

    @pytest.mark.parametrize(
        ("region", "overlaps"),
        [
            (Region(0, 0, 5, 10), False),
            (Region(0, 0, 5, 11), True),
            (Region(9, 15, 5, 5), True),
            (Region(10, 10, 5, 5), False),
            (Region(-5, -5, 6, 16), True),
        ],
    )
    def test_regions_overlap_it_or_not(self, region: Region, overlaps: bool) -> None:
        assert self.MASK.overlaps(region) is overlaps

    def test_its_area_and_share(self) -> None:
        assert self.MASK.share == pytest.approx(1 / 6)
        assert self.MASK.area_mm2(0.5) == pytest.approx(25e-6)

    def test_places_beside_the_slide_are_no_tissue(self) -> None:
        full = TissueMask(np.ones((10, 10), bool), 10.0)
        places = np.array([[50, 50], [105, 50], [400, 50], [50, 400], [-4000, 50], [50, -4000]])
        found = full.contains(places.astype(np.float32))
        np.testing.assert_array_equal(found, [1, 1, 0, 0, 0, 0])

    def test_its_area_ends_with_the_slide(self) -> None:
        full = TissueMask(np.ones((4, 4), bool), 30.0)
        assert full.area_mm2(1.0, (100, 90)) == pytest.approx(100 * 90 * 1e-6)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 4)])
    def test_a_mask_of_a_few_pixels_fits_no_slide_of_other_proportions(self, shape) -> None:
        with pytest.raises(RegionError, match="does not fit a slide"):
            TissueMask.from_array(np.ones(shape), (2967, 2220))

    def test_a_drawn_mask_fits_by_its_proportions_or_is_refused(self) -> None:
        drawn = TissueMask.from_array(np.array([[0, 255, 0], [0, 0, 0]], np.uint8), (200, 300))
        assert (drawn.step, int(drawn.mask.sum())) == (100.0, 1)
        with pytest.raises(RegionError, match=r"20 x 30 pixels does not fit a slide of 300 x 200"):
            TissueMask.from_array(np.ones((20, 30)), (300, 200))


class Damaged(ArraySource):
    """Two levels, in which the pixels from row and column 1,000 on do not decode."""

    both = False

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        factor = round(self.levels[level].downsample)
        if min(region.bottom, region.right) * factor > 1000 and (level or self.both):
            raise TileError("broken")
        return super().read(region, level)


def damaged(*, both: bool) -> Damaged:
    rgb = np.repeat(np.repeat(with_tissue(), 4, 0), 4, 1)
    source = Damaged([rgb, rgb[::2, ::2]], mpp=2.0)
    source.both = both
    return source


def test_a_broken_tile_of_a_low_level_is_read_from_a_higher_one() -> None:
    whole = read_overview(damaged(both=False), step=4)
    assert whole.missing == ()
    assert np.abs(whole.rgb.astype(int) - with_tissue()).mean() < 0.5


def test_what_does_not_decode_at_any_level_counts_as_tissue_so_that_a_run_meets_it() -> None:
    source = damaged(both=True)
    overview = read_overview(source, step=4)
    assert overview.missing
    found = find_tissue(source, mpp=2.0)
    assert found.mask[250:, 250:].all()
    assert not found.mask[:90, :90].any()


def test_a_slide_that_disappears_is_not_taken_for_glass() -> None:
    class Gone(ArraySource):
        def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
            raise SlideGoneError("gone")

    with pytest.raises(SlideGoneError):
        find_tissue(Gone(with_tissue()), mpp=MPP)


@pytest.mark.parametrize("step", [1, 2, 3.7, 16, 39])
def test_an_overview_is_the_mean_of_what_each_pixel_covers(step: float) -> None:
    rgb = np.repeat(np.repeat(with_tissue()[:203, :310], 2, 0), 2, 1)
    overview = read_overview(ArraySource([rgb, rgb[::2, ::2]], mpp=1.0), step=step)
    assert overview.step <= step
    factor = round(overview.step)
    height, width = (-(-n // factor) for n in rgb.shape[:2])
    assert overview.rgb.shape == (height, width, 3)
    for y, x in ((0, 0), (height // 2, width // 2), (height // 3, width - 2)):
        covered = rgb[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
        assert np.abs(overview.rgb[y, x] - covered.mean(axis=(0, 1))).max() < 12


def test_an_overview_larger_than_the_slide_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a step of 1 up, got 0\.5"):
        read_overview(ArraySource(with_tissue()), step=0.5)


@pytest.mark.data
def test_on_a_real_slide_the_green_debris_beside_the_tissue_is_left_out(
    nucbudget_data: Path,
) -> None:
    source = open_image(nucbudget_data / "slides" / "CMU-1-Small-Region.svs")
    found = find_tissue(source, mpp=source.mpp or 0)
    assert 0.32 < found.share < 0.42
    tissue = np.array([[600, 1000], [1500, 900], [2800, 700], [1060, 480]])  # the last: a strand
    debris = np.array([[1140, 1820], [1320, 1860], [1880, 1780], [2260, 1860]])
    glass = np.array([[200, 300], [2000, 300], [500, 1900]])
    assert found.contains(tissue).all()
    assert not found.contains(debris).any()
    assert not found.contains(glass).any()
