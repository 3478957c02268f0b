from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.patches import cut_patches

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_a_patch_is_the_window_around_its_nucleus():
    (patch,) = cut_patches(PIXELS, np.array([[9.6, 14.2]]), 7)
    np.testing.assert_array_equal(patch, PIXELS[7:14, 11:18])


def test_at_the_border_the_image_is_mirrored():
    (patch,) = cut_patches(PIXELS, np.array([[0.0, 29.0]]), 5)
    framed = np.pad(PIXELS, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(patch, framed[0:5, 29:34])


def test_no_nuclei_give_no_patches():
    assert cut_patches(PIXELS, np.zeros((0, 2)), 7).shape == (0, 7, 7, 3)


def test_an_even_side_is_refused():
    with pytest.raises(ValueError, match="odd"):
        cut_patches(PIXELS, np.zeros((1, 2)), 8)


def test_a_nucleus_outside_is_refused():
    with pytest.raises(ValueError, match="outside the image of 20 x 30"):
        cut_patches(PIXELS, np.array([[21.0, 3.0]]), 7)


@pytest.mark.parametrize("size", [1, 7, 27, 61])
@pytest.mark.parametrize("layout", ["rows", "columns", "every second"])
def test_patches_are_those_cut_one_by_one_from_the_mirrored_image(size: int, layout: str) -> None:
    pixels = {
        "rows": PIXELS,
        "columns": np.asfortranarray(PIXELS),
        "every second": np.repeat(np.repeat(PIXELS, 2, 0), 2, 1)[::2, ::2],
    }[layout]
    yx = np.random.default_rng(1).uniform(0, (19, 29), (200, 2))
    reach = size // 2
    framed = np.pad(PIXELS, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    one_by_one = [framed[y : y + size, x : x + size] for y, x in np.floor(yx + 0.5).astype(int)]
    np.testing.assert_array_equal(cut_patches(pixels, yx, size), np.stack(one_by_one))


def test_patches_are_copies() -> None:
    pixels = PIXELS.copy()
    patches = cut_patches(pixels, np.array([[9.0, 14.0]]), 7)
    patches[:] = 0
    np.testing.assert_array_equal(pixels, PIXELS)
