"""The peaks of numpy and of numba are those of the rule, spelled out pixel by pixel."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from napari_nucbudget.core import peak_pixels as module
from napari_nucbudget.core.compilation import compiled
from napari_nucbudget.core.compiled_peaks import lone_pixels
from napari_nucbudget.core.peak_pixels import (
    compiled_peak_pixels,
    peak_pixels,
    plain_peak_pixels,
)
from napari_nucbudget.core.proximity import local_maxima

Find = Callable[..., NDArray[np.intp]]
WITH_NUMBA = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
BOTH = pytest.mark.parametrize(
    "find",
    [
        pytest.param(plain_peak_pixels, id="numpy"),
        pytest.param(compiled_peak_pixels, id="numba", marks=WITH_NUMBA),
    ],
)


def by_the_rule(values: NDArray[Any], min_distance: float, threshold: float) -> list[int]:
    """The definition, one pair of pixels after the other; NaN is lower than any number."""
    lowest = np.where(np.isnan(values), -np.inf, values).tolist()
    height, width = values.shape
    pixels = list(itertools.product(range(height), range(width)))
    found = []
    for y, x in pixels:
        mine = lowest[y][x]
        if not mine >= threshold:
            continue
        near = [(v, u) for v, u in pixels if (v - y) ** 2 + (u - x) ** 2 <= min_distance**2]
        if all(lowest[v][u] < mine or (lowest[v][u] == mine and (v, u) >= (y, x)) for v, u in near):
            found.append(y * width + x)
    return found


SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=11)
UNIT = st.floats(0, 1, width=32)


@st.composite
def maps(draw: st.DrawFn) -> NDArray[Any]:
    """Floats; floats with 8 bits of mantissa; 8 bits in few levels; some with NaN."""
    kind = draw(st.sampled_from(["float32", "float64", "bfloat16", "uint8"]))
    shape = draw(SHAPES)
    if kind == "uint8":
        few = st.sampled_from([0, 40, 41, 200, 255])
        return draw(arrays.arrays(np.uint8, shape, elements=few)).astype(np.float32)
    values = draw(arrays.arrays(np.float32, shape, elements=UNIT))
    if kind == "bfloat16":
        values = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    if draw(st.booleans()):
        values[draw(arrays.arrays(np.bool_, shape))] = np.nan
    return values.astype(np.float64) if kind == "float64" else values


@BOTH
@given(values=maps(), min_distance=st.floats(0.1, 6.0), threshold=UNIT)
@settings(max_examples=150, deadline=None)
def test_the_peaks_are_those_of_the_rule(
    find: Find, values: NDArray[Any], min_distance: float, threshold: float
) -> None:
    found = find(values, min_distance=min_distance, threshold=threshold)
    assert found.tolist() == by_the_rule(values, min_distance, threshold)


@BOTH
@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([3, 20, 10**6]),
    min_distance=st.floats(0.5, 5.0),
    cut=st.integers(20, 110),
)
@settings(max_examples=25, deadline=None)
def test_tiles_with_a_halo_of_the_distance_have_the_peaks_of_the_whole(
    find: Find, seed: int, levels: int, min_distance: float, cut: int
) -> None:
    values = np.random.default_rng(seed).integers(0, levels, (150, 37)).astype(np.float32)
    whole = find(values, min_distance=min_distance, threshold=1.0)
    halo = int(min_distance) + 1
    upper = find(values[: cut + halo].copy(), min_distance=min_distance, threshold=1.0)
    lower = find(values[cut - halo :].copy(), min_distance=min_distance, threshold=1.0)
    lower = lower + (cut - halo) * 37
    assert [*upper[upper < cut * 37], *lower[lower >= cut * 37]] == whole.tolist()


@WITH_NUMBA
@pytest.mark.parametrize("levels", [4, 255, 10**7])
def test_numpy_and_numba_agree_on_maps_of_many_bands(levels: int) -> None:
    values = np.random.default_rng(levels).integers(0, levels, (300, 211)).astype(np.float32)
    values[100:220, 50:90] = levels  # a plateau wider than the distance
    plain = plain_peak_pixels(values, min_distance=4.5, threshold=levels / 2)
    fast = compiled_peak_pixels(values, min_distance=4.5, threshold=levels / 2)
    assert len(plain) >= 10
    assert plain.tolist() == fast.tolist()


@WITH_NUMBA
def test_numba_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "plain_peak_pixels", None)
    assert peak_pixels(np.eye(3), min_distance=1.0, threshold=0.5).tolist() == [0, 4, 8]


def test_without_numba_the_peaks_are_found_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled.cache_clear()
    try:
        assert peak_pixels(np.eye(3), min_distance=1.0, threshold=0.5).tolist() == [0, 4, 8]
        assert compiled(lone_pixels) is None
    finally:
        compiled.cache_clear()


def test_maps_that_do_not_lie_row_by_row_in_memory_have_the_same_peaks() -> None:
    values = np.random.default_rng(0).random((40, 30))
    found = local_maxima(values.T, min_distance=3.0, threshold=0.1)
    assert np.array_equal(
        found.pixel, local_maxima(values.T.copy(), min_distance=3.0, threshold=0.1).pixel
    )


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_empty_map_has_no_peak(shape: tuple[int, int]) -> None:
    assert len(local_maxima(np.zeros(shape), min_distance=3.0, threshold=0.1).yx) == 0
