"""An image of any pixel size, seen at the model's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.mirroring import mirrored
from napari_nucbudget.core.resample import Axis, grid_length, resample
from napari_nucbudget.core.stain import (
    StainAlignment,
    stain_alignment,
    stain_statistics,
    tissue_density,
)
from napari_nucbudget.errors import TileError
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.stain import StainStatistics

__all__ = ["ModelGrid"]

CHUNK = 24 << 20
"""Bytes that `ModelGrid.bands` asks the source for at once; of a single band, more."""
WHOLE = 1 << 20
"""Pixels up to which an image's stain is taken from all of them."""
WINDOW = 128
"""Side of the windows from which that of a larger one is taken."""
WINDOWS = 400
"""Windows looked at, at most; fewer where `ENOUGH` is reached."""
ENOUGH = 1 << 19
"""Tissue pixels that tell how an image is stained."""


@dataclass(frozen=True)
class ModelGrid:
    """The image seen at the model's pixel size, read from the best level.

    Row i of the grid has its centre at level-0 row ``(i + 0.5) * step - 0.5``.
    With an `alignment`, what is read is stained like the model's reference.
    """

    source: ImageSource
    step: float
    level: int
    shape: tuple[int, int]
    alignment: StainAlignment | None = None

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
        rows, columns = self._axes(window)
        return self._resampled(self._pixels(rows, columns), rows, columns)

    def read_beyond(self, window: Region) -> NDArray[np.float32]:
        """`read` of a window that may reach beyond the image, mirrored at its edge there."""
        rows = mirrored(np.arange(window.y, window.bottom), self.shape[0])
        columns = mirrored(np.arange(window.x, window.right), self.shape[1])
        y, x = int(rows.min()), int(columns.min())
        inside = Region(y, x, int(rows.max()) - y + 1, int(columns.max()) - x + 1)
        pixels = self.read(inside)
        if inside == window:
            return pixels
        return pixels[(rows - y)[:, None], columns - x]

    def bands(self, window: Region, count: int) -> Iterator[NDArray[np.float32]]:
        """`read` of a window from the top, `count` rows at a time, and what remains with the last.

        The source is asked for some `CHUNK` bytes at once, so that files are not decoded
        anew for every band.
        """
        last = max(window.height // count, 1) - 1
        tops = [window.y + i * count for i in range(last + 1)]
        ends = [*tops[1:], window.bottom]
        _, columns = self._axes(window)
        left, right = columns.window()
        bytes_a_row = 3 * (right - left) * self._level_step(0)
        together = max(1, int(CHUNK / (bytes_a_row * count)))
        for first in range(0, len(tops), together):
            end = ends[min(first + together, len(tops)) - 1]
            chunk = Region(tops[first], window.x, end - tops[first], window.width)
            rows, _ = self._axes(chunk)
            pixels, start = self._pixels(rows, columns), rows.window()[0]
            for top, bottom in zip(
                tops[first : first + together], ends[first : first + together], strict=True
            ):
                part, _ = self._axes(Region(top, window.x, bottom - top, window.width))
                low, high = part.window()
                yield self._resampled(pixels[low - start : high - start], part, columns)

    def _axes(self, window: Region) -> tuple[Axis, Axis]:
        """How the rows and the columns of a window come from those of the level."""
        level = self.source.levels[self.level]
        rows = Axis(self._level_step(0), level.shape[0], window.y, window.bottom)
        columns = Axis(self._level_step(1), level.shape[1], window.x, window.right)
        return rows, columns

    def _pixels(self, rows: Axis, columns: Axis) -> NDArray[np.uint8]:
        (top, bottom), (left, right) = rows.window(), columns.window()
        return self.source.read(Region(top, left, bottom - top, right - left), self.level)

    def _resampled(
        self, pixels: NDArray[np.uint8], rows: Axis, columns: Axis
    ) -> NDArray[np.float32]:
        found = resample(pixels, rows, columns)
        return found if self.alignment is None else self.alignment(found)

    def aligned(
        self, reference: StainReference | None, own: StainStatistics | None = None
    ) -> ModelGrid:
        """The same grid, its tissue stained like the reference; itself where there is none.

        `own` is how the image is stained, where that is known better than from its pixels:
        of the image that it was cut out of.
        """
        if reference is None:
            return self
        alignment = stain_alignment(own or self.stain(), reference.mean, reference.std)
        return replace(self, alignment=alignment)

    def stain(self) -> StainStatistics:
        """How the image itself is stained: the same wherever in it something is computed.

        From all pixels of up to a megapixel, else from small windows all over the image,
        as many as it takes to see half a million pixels of tissue.
        """
        plain = replace(self, alignment=None)
        height, width = self.shape
        if height * width <= WHOLE:
            return stain_statistics(tissue_density(plain.read(Region(0, 0, height, width))))
        seen, tissue = [np.zeros((0, 3), np.float32)], 0
        for y, x in _spread(WINDOWS, (max(height - WINDOW, 0), max(width - WINDOW, 0))):
            window = Region(y, x, WINDOW, WINDOW).clipped(self.shape)
            try:
                seen.append(tissue_density(plain.read(window)))
            except TileError:  # what does not decode says nothing about the stain
                continue
            tissue += len(seen[-1])
            if tissue >= ENOUGH:
                break
        return stain_statistics(np.concatenate(seen))

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


def _spread(count: int, extent: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Places in 0 .. `extent`, ever more evenly the more are taken (Roberts' R2 sequence)."""
    plastic = 1.324717957244746  # the root of x^3 = x + 1
    for index in range(1, count + 1):
        y = (0.5 + index / plastic) % 1.0
        x = (0.5 + index / plastic**2) % 1.0
        yield int(y * extent[0]), int(x * extent[1])
