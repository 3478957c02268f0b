"""Levels that are put together from tiles behave like the array they stand for."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_nucbudget.errors import SlideGoneError, TileError
from napari_nucbudget.io.tiled import TileCache, TiledLevel

PIXELS = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
TILE = (16, 24)


def level(decode: Any = None, *, cache: int = 1 << 20, dtype: Any = np.uint8) -> TiledLevel:
    return TiledLevel(
        PIXELS.shape,
        dtype,
        tile=TILE,
        decode=decode or cut,
        path="a.svs",
        number=2,
        cache=TileCache(cache),
    )


def cut(row: int, column: int) -> NDArray[np.uint8]:
    y, x = row * TILE[0], column * TILE[1]
    return PIXELS[y : y + TILE[0], x : x + TILE[1]]


def broken_at(row: int, column: int, error: Exception) -> Any:
    def decode(r: int, c: int) -> NDArray[np.uint8]:
        if (r, c) == (row, column):
            raise error
        return cut(r, c)

    return decode


bounds = st.one_of(st.none(), st.integers(-100, 100))
steps = st.one_of(st.none(), st.integers(1, 7), st.integers(-7, -1))
keys = st.one_of(st.builds(slice, bounds, bounds, steps), st.integers(-70, 69))


@given(rows=keys, columns=keys)
def test_any_slice_is_what_numpy_gives(rows: Any, columns: Any) -> None:
    assert np.array_equal(level()[rows, columns], PIXELS[rows, columns])


def test_ellipsis_colours_and_the_whole_are_what_numpy_gives() -> None:
    assert np.array_equal(level()[..., 1], PIXELS[..., 1])
    assert np.array_equal(level()[3], PIXELS[3])
    assert np.array_equal(np.asarray(level()), PIXELS)
    assert (level().size, level().ndim, len(level())) == (PIXELS.size, 3, 70)


def test_an_index_outside_is_an_error() -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        level()[70]


def test_a_tile_is_decoded_once_while_it_is_kept() -> None:
    asked: list[tuple[int, int]] = []

    def decode(row: int, column: int) -> NDArray[np.uint8]:
        asked.append((row, column))
        return cut(row, column)

    lazy = level(decode)
    lazy[0:40, 0:40]
    lazy[20:40, 10:40]
    assert sorted(asked) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_no_more_tiles_are_kept_than_the_limit_says() -> None:
    cache = TileCache(3000)
    for i in range(5):
        cache.put(i, np.zeros(1000, np.uint8))
    assert [cache.get(i) is not None for i in range(5)] == [False, False, True, True, True]


def test_a_tile_that_the_slide_left_out_is_white() -> None:
    lazy = level(lambda row, column: None if (row, column) == (1, 1) else cut(row, column))
    assert (lazy[16:32, 24:48] == 255).all()
    assert np.array_equal(lazy[0:16], PIXELS[0:16])


def test_a_tile_that_does_not_decode_is_named_and_the_others_are_read() -> None:
    lazy = level(broken_at(4, 3, ValueError("bad stream")))
    assert np.array_equal(lazy[0:64], PIXELS[0:64])
    with pytest.raises(
        TileError, match=r"a\.svs is damaged.*y=64, x=72 of level 2.*row 4, column 3.*bad stream"
    ) as caught:
        lazy[60:, 70:]
    assert (caught.value.path, caught.value.level) == ("a.svs", 2)
    assert caught.value.yxhw == (64, 72, 6, 18)  # cut off at the border of the image


def test_a_tile_error_comes_whole_out_of_another_process() -> None:
    error = TileError("no", path="a.svs", level=1, yxhw=(1, 2, 3, 4))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.level, again.yxhw) == ("no", "a.svs", 1, (1, 2, 3, 4))


@pytest.mark.parametrize("shape", [(10, 24, 3), (16, 24), (16, 24, 4)])
def test_a_tile_of_another_shape_counts_as_damaged(shape: tuple[int, ...]) -> None:
    lazy = level(lambda row, column: np.zeros(shape, np.uint8))
    with pytest.raises(TileError, match="do not decode"):
        lazy[0:5, 0:5]


def test_a_forgiving_level_shows_a_broken_tile_in_grey_and_warns_once() -> None:
    lazy = level(broken_at(1, 1, ValueError("bad stream")))
    lazy.forgiving = True
    with pytest.warns(UserWarning, match="bad stream.*shown in grey"):
        shown = lazy[:, :]
    assert (shown[16:32, 24:48] == 127).all()
    assert np.array_equal(shown[:16], PIXELS[:16])
    assert (lazy[16:32, 24:48] == 127).all()  # a second warning would be an error here


@pytest.mark.parametrize("error", [SlideGoneError("gone"), MemoryError()])
def test_a_slide_that_is_gone_and_full_memory_are_never_forgiven(error: Exception) -> None:
    lazy = level(broken_at(0, 0, error))
    lazy.forgiving = True
    with pytest.raises(type(error)):
        lazy[0:5, 0:5]
