"""Cores own every pixel once; reads stay inside the image."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_nucbudget.core.tiling import tiles
from napari_nucbudget.types.image import Region

shapes = st.tuples(st.integers(1, 70), st.integers(1, 70))


@given(shapes, st.integers(1, 40), st.integers(0, 30), st.data())
def test_cores_are_disjoint_and_cover_the_region(
    shape: tuple[int, int], size: int, halo: int, data: st.DataObject
) -> None:
    y = data.draw(st.integers(0, shape[0] - 1))
    x = data.draw(st.integers(0, shape[1] - 1))
    region = Region(
        y,
        x,
        data.draw(st.integers(1, shape[0] - y)),
        data.draw(st.integers(1, shape[1] - x)),
    )
    owners = np.zeros(shape, int)
    for tile in tiles(region, shape, size=size, halo=halo):
        owners[tile.core.slices] += 1
    expected = np.zeros(shape, int)
    expected[region.slices] = 1
    assert np.array_equal(owners, expected)


@given(shapes, st.integers(1, 40), st.integers(0, 30))
def test_a_read_window_is_its_core_and_the_halo_as_far_as_the_image_goes(
    shape: tuple[int, int], size: int, halo: int
) -> None:
    for tile in tiles(Region.whole(shape), shape, size=size, halo=halo):
        assert tile.read == tile.core.padded(halo).clipped(shape)
        assert max(tile.core.height, tile.core.width) <= size


@given(shapes, st.integers(1, 40), st.integers(0, 30), st.integers(1, 9))
def test_aligned_windows_begin_and_end_at_multiples_or_at_the_edge(
    shape: tuple[int, int], size: int, halo: int, align: int
) -> None:
    for tile in tiles(Region.whole(shape), shape, size=size, halo=halo, align=align):
        read, least = tile.read, tile.core.padded(halo).clipped(shape)
        assert read.y % align == read.x % align == 0
        assert read.bottom % align == 0 or read.bottom == shape[0]
        assert read.right % align == 0 or read.right == shape[1]
        assert 0 <= least.y - read.y < align
        assert 0 <= read.right - least.right < align


def test_tiles_come_row_by_row() -> None:
    cores = [t.core for t in tiles(Region(0, 0, 5, 5), (5, 5), size=3, halo=1)]
    assert [(c.y, c.x) for c in cores] == [(0, 0), (0, 3), (3, 0), (3, 3)]
