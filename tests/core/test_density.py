from __future__ import annotations

import numpy as np

from napari_nucbudget.core.density import bin_counts, bin_size, density_picture
from napari_nucbudget.types.nuclei import Nuclei


def nuclei(yx, label):
    return Nuclei.from_points(yx, label=label)


def test_a_nucleus_counts_in_the_bin_of_its_pixel_and_class():
    table = nuclei([(0, 0), (63.4, 0), (63.6, 0), (99, 129)], [0, 2, -1, 0])
    counts = bin_counts(table, (100, 130), 64)
    assert counts.shape == (2, 3, 4)
    assert counts[0, 0].tolist() == [1, 0, 1, 0]
    assert counts[1, 0].tolist() == [0, 0, 0, 1]
    assert counts[1, 2].tolist() == [1, 0, 0, 0]


def test_counts_of_parts_add_up_to_those_of_the_whole():
    rng = np.random.default_rng(0)
    table = nuclei(rng.uniform(-0.5, 299, (500, 2)), rng.integers(-1, 3, 500))
    parts = [table.select(table.yx[:, 0] < 100), table.select(table.yx[:, 0] >= 100)]
    whole = bin_counts(table, (300, 300), 64)
    assert whole.sum() == 500
    np.testing.assert_array_equal(sum(bin_counts(p, (300, 300), 64) for p in parts), whole)


def test_bins_grow_until_the_picture_is_small():
    assert bin_size((4000, 6000)) == 64
    assert bin_size((100_000, 200_000)) == 128


def test_the_picture_has_the_mean_colour_and_is_clear_where_nothing_is():
    colors = np.array([(1, 0, 0), (0, 0, 1), (0, 1, 0)])
    counts = np.array([[[0, 0, 0], [1, 0, 0], [50, 50, 0]]])
    picture = density_picture(counts, colors)
    assert picture[0, 0, 3] == 0
    assert picture[0, 1, :3].tolist() == [255, 0, 0]
    assert picture[0, 2, :3].tolist() == [128, 0, 128]
    assert 0 < picture[0, 1, 3] < picture[0, 2, 3]


def test_an_empty_picture_is_clear():
    assert not density_picture(np.zeros((2, 2, 4), int), np.ones((4, 3))).any()
