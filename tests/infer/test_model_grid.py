"""How an image is stained is told from the image alone, whatever part of it is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.stain import stain_statistics, tissue_density, to_rgb
from napari_nucbudget.errors import TileError
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.stain import StainStatistics

REFERENCE = StainReference(mean=(0.35, 0.6, 0.3), std=(0.2, 0.3, 0.15))


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """Tissue, stained more strongly to the right, on a sixth of the glass."""
    rng = np.random.default_rng(3)
    image = np.full((1200, 1500, 3), 244, np.uint8)
    density = rng.gamma(5.0, (0.1, 0.16, 0.08), (500, 600, 3)).astype(np.float32)
    density *= np.linspace(0.7, 1.3, 600, dtype=np.float32)[:, None]
    image[300:800, 500:1100] = to_rgb(density)
    return image


def statistics(rgb: np.ndarray) -> StainStatistics:
    return stain_statistics(tissue_density(rgb))


def grid_of(source: object) -> ModelGrid:
    return ModelGrid.of(source, mpp=0.55, model_mpp=0.55)  # type: ignore[arg-type]


def test_windows_say_what_all_pixels_say(rgb: np.ndarray) -> None:
    found = grid_of(ArraySource(rgb, mpp=0.55)).stain()  # 1.8 megapixels: from windows
    every = statistics(rgb)
    assert found.pixels > 50_000
    np.testing.assert_allclose(found.mean, every.mean, rtol=0.03)
    np.testing.assert_allclose(found.std, every.std, rtol=0.03)


def test_a_small_image_is_looked_at_whole(rgb: np.ndarray) -> None:
    part = np.ascontiguousarray(rgb[200:900, 400:1200])
    assert grid_of(ArraySource(part, mpp=0.55)).stain() == statistics(part)


def test_enough_tissue_ends_the_search(rgb: np.ndarray) -> None:
    reads = []

    class Counted(ArraySource):
        def read(self, region: Region, level: int = 0) -> np.ndarray:
            reads.append(region)
            return super().read(region, level)

    dense = np.tile(rgb[300:800, 500:1100], (3, 2, 1))
    grid_of(Counted(dense, mpp=0.55)).stain()
    assert len(reads) < 40
    assert all(region.width <= 130 for region in reads)


def test_every_part_is_aligned_alike(rgb: np.ndarray) -> None:
    aligned = grid_of(ArraySource(rgb, mpp=0.55)).aligned(REFERENCE)
    whole = aligned.read(Region(300, 500, 500, 600))
    part = aligned.read(Region(400, 700, 50, 60))
    np.testing.assert_array_equal(part, whole[100:150, 200:260])
    np.testing.assert_allclose(statistics(whole).mean, REFERENCE.mean, rtol=0.15)


def test_without_a_reference_nothing_is_looked_at(rgb: np.ndarray) -> None:
    grid = grid_of(ArraySource(rgb, mpp=0.55))
    assert grid.aligned(None) is grid


def test_what_does_not_decode_is_left_out(rgb: np.ndarray) -> None:
    class Damaged(ArraySource):
        def read(self, region: Region, level: int = 0) -> np.ndarray:
            if region.y < 400:
                raise TileError("it does not decode")
            return super().read(region, level)

    found = grid_of(Damaged(rgb, mpp=0.55)).stain()
    np.testing.assert_allclose(found.mean, statistics(rgb[400:]).mean, rtol=0.04)


def test_glass_alone_has_no_stain_and_stays_as_it_is() -> None:
    glass = np.full((1100, 1100, 3), 240, np.uint8)
    grid = grid_of(ArraySource(glass, mpp=0.55))
    assert grid.stain().pixels == 0
    aligned = grid.aligned(REFERENCE).read(Region(0, 0, 20, 20))
    np.testing.assert_allclose(aligned, 240, atol=0.05)
