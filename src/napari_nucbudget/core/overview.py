"""A whole slide in small: read from the best level, piece by piece, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ConfigError, TileError
from napari_nucbudget.types.image import ImageSource, Region

__all__ = ["Overview", "read_overview", "shrunk"]

PIECE = 2048
"""Side of the pieces that are read, pixels of the level: 12 MB each."""
SAMPLES = 4
"""At most so many samples a side are averaged for one pixel; more change nothing visible."""
MISSING = 255


@dataclass(frozen=True, eq=False)
class Overview:
    """A slide in small.

    Attributes
    ----------
    rgb : (h, w, 3) uint8
    step : float
        Level-0 pixels per pixel of `rgb`; its pixel (i, j) covers the level-0
        rows ``i * step`` to ``(i + 1) * step`` and columns likewise.
    missing : tuple of Region
        Places, in pixels of `rgb`, that do not decode at any level; white there.
    """

    rgb: NDArray[np.uint8]
    step: float
    missing: tuple[Region, ...] = ()


def read_overview(source: ImageSource, *, step: float) -> Overview:
    """The slide shrunk by about `step`, never by more, from the smallest level that has as much.

    A tile that does not decode is looked for in the larger levels.

    Parameters
    ----------
    source : ImageSource
    step : float
        Wanted level-0 pixels per pixel, at least 1.

    Raises
    ------
    ConfigError
        Where `step` is below 1.
    SlideGoneError
        Where the slide disappears meanwhile.
    """
    if not step >= 1:
        raise ConfigError(f"An overview is smaller than the slide: a step of 1 up, got {step:g}.")
    fit = [i for i, level in enumerate(source.levels) if level.downsample <= step * 1.001]
    best = max(fit, key=lambda i: source.levels[i].downsample, default=0)
    level = source.levels[best]
    factor = max(1, int(step / level.downsample * 1.001))
    height, width = (math.ceil(n / factor) for n in level.shape)
    rgb = np.empty((height, width, 3), np.uint8)
    missing: list[Region] = []
    side = max(1, PIECE // factor)
    for y in range(0, height, side):
        for x in range(0, width, side):
            piece = Region(y, x, min(side, height - y), min(side, width - x))
            _fill(rgb, piece, source, best, factor, missing)
    return Overview(rgb, level.downsample * factor, tuple(missing))


def _fill(
    rgb: NDArray[np.uint8],
    piece: Region,
    source: ImageSource,
    number: int,
    factor: int,
    missing: list[Region],
) -> None:
    """Put a piece of the overview in its place, read from level `number` or a larger one."""
    wanted = source.levels[number].downsample * factor
    while True:
        level = source.levels[number]
        ratio = max(1, round(wanted / level.downsample))
        window = Region(
            piece.y * ratio, piece.x * ratio, piece.height * ratio, piece.width * ratio
        ).clipped(level.shape)
        try:
            small = shrunk(source.read(window, number), ratio)
        except TileError:
            if piece.area > 64 * 64:  # so that one bad tile does not hide its neighbours
                for part in _quarters(piece):
                    _fill(rgb, part, source, number, factor, missing)
                return
            if number == 0:
                rgb[piece.slices] = MISSING
                missing.append(piece)
                return
            factor = round(wanted / source.levels[number - 1].downsample)
            number -= 1
            continue
        target = rgb[piece.slices]
        target[...] = small[-1:, -1:]  # a level may be a pixel shorter than its share
        target[: small.shape[0], : small.shape[1]] = small[: piece.height, : piece.width]
        return


def _quarters(piece: Region) -> list[Region]:
    half_h, half_w = (piece.height + 1) // 2, (piece.width + 1) // 2
    rows = [(piece.y, half_h), (piece.y + half_h, piece.height - half_h)]
    columns = [(piece.x, half_w), (piece.x + half_w, piece.width - half_w)]
    return [Region(y, x, h, w) for y, h in rows for x, w in columns if h and w]


def shrunk(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """(h, w, 3) mean of squares of `factor` pixels, or of some samples of them.

    h and w are rounded up: the last squares may be smaller.
    """
    if factor == 1:
        return pixels
    every = max(1, factor // SAMPLES)
    height, width = (math.ceil(n / factor) for n in pixels.shape[:2])
    pad = [(0, height * factor - pixels.shape[0]), (0, width * factor - pixels.shape[1]), (0, 0)]
    if any(after for _, after in pad):
        pixels = np.pad(pixels, pad, mode="edge")
    squares = pixels.reshape(height, factor, width, factor, 3)[:, ::every, :, ::every]
    count = squares.shape[1] * squares.shape[3]
    total = squares.sum(axis=(1, 3), dtype=np.uint32)
    return np.asarray((total + count // 2) // count, np.uint8)
