"""Rescaling: what it keeps, and that a tile of it is the same as the whole, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_nucbudget.core.resample import Axis, grid_length, resample


def rescale(pixels: NDArray[np.uint8], step: float) -> NDArray[np.float32]:
    """The image as a whole on a grid of `step` pixels."""
    axes = [Axis(step, n, 0, grid_length(n, step)) for n in pixels.shape[:2]]
    return resample(pixels, axes[0], axes[1])


def window_of(pixels: NDArray[np.uint8], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    (top, bottom), (left, right) = rows.window(), columns.window()
    return resample(pixels[top:bottom, left:right], rows, columns)


STEPS = [0.4, 0.55 / 0.6, 1.1, 0.55 / 0.499, 1.5, 2.0, 2.2, 3.7]


def test_step_1_gives_the_pixels_themselves() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    assert np.array_equal(rescale(pixels, 1.0), pixels)


@pytest.mark.parametrize("step", STEPS)
def test_an_even_image_stays_even(step: float) -> None:
    found = rescale(np.full((23, 31, 3), 137, np.uint8), step)
    np.testing.assert_allclose(found, 137, atol=1e-3)


@pytest.mark.parametrize("step", STEPS)
def test_a_ramp_keeps_its_values_at_the_pixel_centres(step: float) -> None:
    """Output pixel i has its centre at input position (i + 0.5) * step - 0.5."""
    ramp = np.arange(200, dtype=np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (12, 200, 3)).copy()
    found = rescale(pixels, step)[0, :, 0]
    centre = (np.arange(len(found)) + 0.5) * step - 0.5
    inner = slice(4, -4)
    # A triangle that is wider than a pixel is sampled, so the ramp is kept to a tenth of one.
    np.testing.assert_allclose(found[inner], centre[inner], atol=0.1 if step > 1 else 1e-4)


def test_halving_averages_the_two_pixels_at_the_centre_the_most() -> None:
    pixels = np.zeros((2, 12, 3), np.uint8)
    pixels[:, 6:8] = 200
    found = rescale(pixels, 2.0)[0, :, 0]
    assert np.argmax(found) == 3
    assert found[2] == pytest.approx(found[4])
    assert found.sum() == pytest.approx(200.0, rel=1e-5)


@given(st.data())
@settings(max_examples=60)
def test_a_tile_of_the_grid_equals_the_window_of_the_whole_bit_for_bit(
    data: st.DataObject,
) -> None:
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    step = data.draw(st.one_of(st.sampled_from(STEPS), st.floats(0.2, 6.0)))
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    whole = rescale(pixels, step)
    axes = []
    for length, size in zip((height, width), whole.shape[:2], strict=True):
        start = data.draw(st.integers(0, size - 1))
        axes.append(Axis(step, length, start, data.draw(st.integers(start + 1, size))))
    tile = window_of(pixels, axes[0], axes[1])
    expected = whole[axes[0].start : axes[0].stop, axes[1].start : axes[1].stop]
    assert np.array_equal(tile, expected)


@pytest.mark.parametrize("step", STEPS)
def test_all_input_pixels_weigh_about_the_same_so_that_nothing_is_skipped(step: float) -> None:
    axis = Axis(step, 300, 0, grid_length(300, step))
    index, weight = axis.weights()
    total = np.bincount(index.ravel(), weights=weight.ravel(), minlength=300)
    inner = total[20:-20]
    assert inner.min() > 0.4 / step
    assert inner.mean() == pytest.approx(1 / step, rel=0.02)


def test_an_axis_never_asks_for_pixels_outside_the_image() -> None:
    axis = Axis(2.2, 50, 0, grid_length(50, 2.2))
    low, high = axis.window()
    index, _ = axis.weights()
    assert (low, high) == (0, 50)
    assert index.min() == 0
    assert index.max() < 50


@pytest.mark.parametrize(("length", "step", "expected"), [(10, 1, 10), (1, 7.0, 1), (100, 2.2, 45)])
def test_the_grid_has_at_least_one_pixel(length: int, step: float, expected: int) -> None:
    assert grid_length(length, step) == expected


@pytest.mark.parametrize("steps", [(1.0, 1.0), (1.0, 1.5), (2.2, 1.0)])
def test_beyond_the_border_the_last_pixel_is_repeated(steps: tuple[float, float]) -> None:
    """A level whose writer cut off half a pixel is that much shorter than the grid."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    counts = [grid_length(n, step) for n, step in zip(pixels.shape[:2], steps, strict=True)]
    beyond = [
        Axis(step, n, 0, count + 1)
        for step, n, count in zip(steps, pixels.shape[:2], counts, strict=True)
    ]
    padded = np.pad(pixels, ((0, 20), (0, 20), (0, 0)), mode="edge")
    longer = [
        Axis(step, n + 20, 0, count + 1)
        for step, n, count in zip(steps, pixels.shape[:2], counts, strict=True)
    ]
    np.testing.assert_array_equal(window_of(pixels, *beyond), window_of(padded, *longer))
    inner = [Axis(axis.step, axis.length, 5, axis.stop) for axis in beyond]
    np.testing.assert_array_equal(window_of(pixels, *inner), window_of(pixels, *beyond)[5:, 5:])
