"""Optical density, and other amounts of stain on the same tissue."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.stain import (
    HE_MATRIX,
    jitter_stain,
    stain_alignment,
    stain_statistics,
    tissue_density,
    to_optical_density,
    to_rgb,
)
from napari_nucbudget.types.stain import StainStatistics


def every_grey() -> np.ndarray:
    return np.stack([np.arange(256)] * 3, axis=-1).astype(np.uint8)


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 250, (16, 16, 3)).astype(np.uint8)


def test_density_and_back_gives_the_pixels_back() -> None:
    np.testing.assert_allclose(to_rgb(to_optical_density(every_grey())), every_grey(), atol=1e-2)


def test_white_has_no_density_and_darker_has_more() -> None:
    density = to_optical_density(every_grey())[:, 0]
    assert density[255] == 0.0
    assert (np.diff(density) < 0).all()


def test_the_stain_vectors_have_length_one() -> None:
    np.testing.assert_allclose(np.linalg.norm(HE_MATRIX, axis=1), 1.0, atol=1e-6)


def test_strength_0_gives_the_input_back() -> None:
    rgb = pixels()
    assert np.array_equal(jitter_stain(rgb, np.random.default_rng(0), strength=0.0), rgb)


@pytest.mark.parametrize("strength", [0.05, 0.1, 0.2])
def test_the_result_stays_in_range_and_is_float32(strength: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        out = jitter_stain(pixels(), rng, strength=strength)
        assert out.dtype == np.float32
        assert out.min() >= 0
        assert out.max() <= 255


def test_darkness_is_kept_nothing_is_stretched_to_the_range_of_the_image() -> None:
    """A pixel's new value depends on the pixel and the draw alone, never on the others."""
    rgb = pixels()
    with_black_and_white = rgb.copy()
    with_black_and_white[0, 0], with_black_and_white[0, 1] = 0, 255
    one = jitter_stain(rgb, np.random.default_rng(5), strength=0.2)
    other = jitter_stain(with_black_and_white, np.random.default_rng(5), strength=0.2)
    np.testing.assert_allclose(one[1:], other[1:], atol=1e-3)


def test_a_pale_image_stays_pale_and_a_dark_one_dark() -> None:
    rng = np.random.default_rng(1)
    pale, dark = np.full((4, 4, 3), 235, np.uint8), np.full((4, 4, 3), 70, np.uint8)
    for _ in range(20):
        assert jitter_stain(pale, rng, strength=0.1).mean() > 215
        assert jitter_stain(dark, rng, strength=0.1).mean() < 100


def test_more_haematoxylin_stays_more_haematoxylin() -> None:
    amounts = np.array([0.3, 0.6, 0.9], np.float32)
    rgb = to_rgb(amounts[:, None] * HE_MATRIX[0])
    rng = np.random.default_rng(2)
    for _ in range(20):
        assert (np.diff(jitter_stain(rgb, rng, strength=0.2).sum(axis=1)) < 0).all()


def test_the_same_generator_draws_the_same_stain() -> None:
    draws = [jitter_stain(pixels(), np.random.default_rng(3), strength=0.1) for _ in range(2)]
    assert np.array_equal(*draws)


def statistics(rgb: np.ndarray) -> StainStatistics:
    return stain_statistics(tissue_density(rgb))


def tissue(seed: int, *, strength: float = 1.0, side: int = 300) -> np.ndarray:
    """Pixels whose densities are those of seed 0 times `strength`, up to other draws."""
    rng = np.random.default_rng(seed)
    density = rng.gamma(6.0, (0.06, 0.1, 0.05), (side, side, 3)) * strength
    return to_rgb(density.astype(np.float32))


def test_glass_is_no_tissue_and_says_nothing_about_the_stain() -> None:
    rgb = tissue(0)
    glass = np.full_like(rgb, 243)
    assert not len(tissue_density(glass))
    alone, beside = statistics(rgb), statistics(np.concatenate([rgb, glass]))
    assert beside == alone
    assert statistics(glass).pixels == 0


@pytest.mark.parametrize("strength", [0.6, 1.5])
def test_an_aligned_image_has_the_mean_and_the_spread_of_the_reference(strength: float) -> None:
    reference = statistics(tissue(0))
    other = tissue(1, strength=strength)
    before = statistics(other)
    aligned = stain_alignment(before, reference.mean, reference.std)(other)
    found = statistics(aligned)
    for now, then, wanted in zip(found.mean, before.mean, reference.mean, strict=True):
        assert abs(now - wanted) < 0.35 * abs(then - wanted)
    for now, then, wanted in zip(found.std, before.std, reference.std, strict=True):
        assert abs(now - wanted) < 0.35 * abs(then - wanted)


def test_the_reference_itself_stays_as_it_is() -> None:
    rgb = tissue(0)
    found = statistics(rgb)
    aligned = stain_alignment(found, found.mean, found.std)(rgb)
    np.testing.assert_allclose(aligned, rgb, atol=0.05)


def test_an_image_without_tissue_stays_as_it_is_and_few_pixels_change_it_little() -> None:
    reference = statistics(tissue(0))
    glass = np.full((50, 50, 3), 243, np.uint8)
    kept = stain_alignment(statistics(glass), reference.mean, reference.std)(glass)
    np.testing.assert_allclose(kept, glass, atol=0.05)
    small, large = (tissue(1, strength=1.5, side=side) for side in (20, 600))
    moved = [
        float(np.abs(stain_alignment(statistics(x), reference.mean, reference.std)(x) - x).mean())
        for x in (small, large)
    ]
    assert moved[0] < 0.1 * moved[1]


def test_flat_colour_is_not_stretched_beyond_all_bounds() -> None:
    flat = np.full((400, 400, 3), (190, 120, 200), np.uint8)
    reference = statistics(tissue(0))
    alignment = stain_alignment(statistics(flat), reference.mean, reference.std)
    assert (alignment.gain <= 3.0).all()
    assert np.isfinite(alignment(flat)).all()
