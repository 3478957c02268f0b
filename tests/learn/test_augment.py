from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.proximity import proximity_map
from napari_nucbudget.learn.augment import augment_pixels, dihedral


def turned_points(yx, which, side):
    """The same turn done on coordinates, by hand."""
    y, x = yx[:, 0], yx[:, 1]
    for _ in range(which % 4):
        y, x = side - 1 - x, y
    if which >= 4:
        x = side - 1 - x
    return np.stack([y, x], axis=1)


@pytest.mark.parametrize("which", range(8))
def test_turning_image_and_points_equals_turning_the_map(which):
    side = 40
    yx = np.array([[5.0, 9.0], [20.0, 33.0], [31.0, 2.0]])
    rendered = proximity_map(yx, (side, side), alpha=3, d_max=8)
    moved = proximity_map(turned_points(yx, which, side), (side, side), alpha=3, d_max=8)
    np.testing.assert_allclose(dihedral(rendered, which), moved, atol=1e-6)


def test_the_eight_turns_differ():
    array = np.arange(9).reshape(3, 3)
    assert len({dihedral(array, which).tobytes() for which in range(8)}) == 8


def test_no_jitter_changes_nothing():
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = augment_pixels(rgb, np.random.default_rng(1), stain=0.0, brightness=0.0)
    np.testing.assert_array_equal(out, rgb)


def test_jitter_stays_in_range_and_is_drawn_anew():
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    rng = np.random.default_rng(1)
    first, second = (augment_pixels(rgb, rng, stain=0.2, brightness=0.1) for _ in range(2))
    assert first.min() >= 0
    assert first.max() <= 255
    assert not np.allclose(first, second)
