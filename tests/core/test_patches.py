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
