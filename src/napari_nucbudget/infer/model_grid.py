"""An image of any pixel size, seen at the model's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.resample import Axis, grid_length, resample
from napari_nucbudget.types.image import ImageSource, Region

__all__ = ["ModelGrid"]


@dataclass(frozen=True)
class ModelGrid:
    """The image seen at the model's pixel size, read from the best level.

    Row i of the grid has its centre at level-0 row ``(i + 0.5) * step - 0.5``.
    """

    source: ImageSource
    step: float
    level: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, source: ImageSource, *, mpp: float, model_mpp: float) -> ModelGrid:
        step = model_mpp / mpp
        if abs(step - 1) < 1e-3:
            step = 1.0
        fit = [i for i, level in enumerate(source.levels) if level.downsample <= step * 1.001]
        level = max(fit, key=lambda i: source.levels[i].downsample, default=0)
        height, width = (grid_length(n, step) for n in source.shape)
        return cls(source, step, level, (height, width))

    def region(self, region: Region) -> Region:
        """Smallest window of the grid that covers a level-0 region."""
        # The last grid pixel also stands for the part of a pixel that rounding cut off.
        y = min(math.floor(region.y / self.step), self.shape[0] - 1)
        x = min(math.floor(region.x / self.step), self.shape[1] - 1)
        bottom = math.ceil(region.bottom / self.step)
        right = math.ceil(region.right / self.step)
        return Region(y, x, max(bottom - y, 1), max(right - x, 1)).clipped(self.shape)

    def read(self, window: Region) -> NDArray[np.float32]:
        """(h, w, 3) float32 pixels in 0 .. 255 of a window of the grid."""
        level = self.source.levels[self.level]
        rows = Axis(self._level_step(0), level.shape[0], window.y, window.bottom)
        columns = Axis(self._level_step(1), level.shape[1], window.x, window.right)
        (top, bottom), (left, right) = rows.window(), columns.window()
        pixels = self.source.read(Region(top, left, bottom - top, right - left), self.level)
        return resample(pixels, rows, columns)

    def _level_step(self, axis: int) -> float:
        if self.level == 0:
            return self.step
        # Writers shrink by whole numbers and round the shape: taken from the shape alone, the
        # factor would drift by up to a pixel of the level towards the far end.
        length = self.source.levels[self.level].shape[axis]
        factor = self.source.shape[axis] / length
        whole = round(factor)
        if abs(self.source.shape[axis] / whole - length) < 1:
            factor = whole
        step = self.step / factor
        return 1.0 if abs(step - 1) < 1e-3 else step
