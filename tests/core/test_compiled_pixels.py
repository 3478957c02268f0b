"""The compiled loops give what numpy's steps give, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_nucbudget.core import proximity
from napari_nucbudget.core import resample as rescaling
from napari_nucbudget.core.compilation import compiled
from napari_nucbudget.core.compiled_pixels import smooth_into
from napari_nucbudget.core.proximity import smooth
from napari_nucbudget.core.resample import Axis, grid_length, resample

pytestmark = pytest.mark.skipif(
    compiled(smooth_into) is None, reason="numba (extra fast) is not installed"
)


def both_ways(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], NDArray[np.floating]]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    fast = work()
    for module in (proximity, rescaling):
        monkeypatch.setattr(module, "compiled", lambda loop: None)
    return fast, work()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 90), (70, 2), (65, 131)])
@pytest.mark.parametrize("sigma", [0.3, 1.2, 3.0])
def test_smoothing(
    monkeypatch: pytest.MonkeyPatch, dtype: type, shape: tuple[int, int], sigma: float
) -> None:
    values = np.random.default_rng(0).random(shape).astype(dtype)
    fast, plain = both_ways(monkeypatch, lambda: smooth(values, sigma))
    assert fast.dtype == plain.dtype == dtype
    assert np.array_equal(fast, plain)


@pytest.mark.parametrize("steps", [(1.1, 1.1), (0.7, 2.3), (1.0, 3.3), (4.0, 1.0)])
def test_rescaling_of_a_window(monkeypatch: pytest.MonkeyPatch, steps: tuple[float, float]) -> None:
    rows, columns = (Axis(step, 200, 5, grid_length(200, step) - 3) for step in steps)
    (top, bottom), (left, right) = rows.window(), columns.window()
    pixels = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    window = pixels[top:bottom, left:right]
    fast, plain = both_ways(monkeypatch, lambda: resample(window, rows, columns))
    assert np.array_equal(fast, plain)
