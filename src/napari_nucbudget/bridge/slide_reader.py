"""Slides and TIFFs as image layers: a pyramid that stays on disk, in micrometres."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.bridge.layers import LayerData
from napari_nucbudget.core.overview import shrunk
from napari_nucbudget.errors import ImageError, PixelSizeError
from napari_nucbudget.io.slides import SLIDE_SUFFIXES, SlideSource, open_slide
from napari_nucbudget.io.tiled import TileCache, TiledLevel
from napari_nucbudget.types.image import Region

__all__ = ["get_slide_reader", "read_slide", "slide_layer"]

Paths = str | Path | Sequence[str | Path]

TILE = 512
SHARED_SUFFIXES = (".dcm", ".czi", ".zarr", ".btf", ".tf8")
"""Slide suffixes that other kinds of images have too; what is no slide is left to their readers."""
SMALLEST_LEVEL = 4096
"""A viewer loads the smallest level whole: up to this side it is quick."""
FACTOR = 4
"""Between levels that are made because the file lacks them."""


def get_slide_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """The reader, where the one path is a slide or a colour TIFF; else None.

    Stacks, fluorescence, single channels and what is no TIFF are left to other
    readers. A damaged slide is not: reading it says what is wrong with it.
    """
    one = _one(path)
    if one is None:
        return None
    suffix = one.suffix.lower()
    try:
        source = open_slide(one)
    except PixelSizeError:
        return read_slide
    except ImageError:
        ours = suffix in SLIDE_SUFFIXES and suffix not in SHARED_SUFFIXES
        return read_slide if ours else None
    return None if source is None else read_slide


def read_slide(path: Paths) -> list[LayerData]:
    """One image layer.

    Raises
    ------
    ImageError
        Where the slide cannot be read, in words.
    """
    one = _one(path)
    if one is None:
        raise ImageError("Slides are opened one at a time, each as a layer of its own.")
    return [slide_layer(one)]


def slide_layer(path: Path, *, name: str | None = None) -> LayerData:
    """Image layer over a slide that stays on disk, in micrometres where the slide says how large.

    A tile that does not decode is shown in grey, with a warning. Levels that
    the file lacks are made when they are looked at.

    Raises
    ------
    ImageError
    """
    try:
        source = open_slide(path)
        mpp = None if source is None else source.mpp
    except PixelSizeError as error:
        warnings.warn(f"{error} It is shown without a pixel size.", stacklevel=2)
        source, mpp = open_slide(path, mpp=1.0), None
    if source is None:
        raise ImageError(f"{path} is no slide: TIFF and the formats of slide scanners are.")
    levels = _levels(source)
    arguments: dict[str, Any] = {
        "name": name or path.name.split(".ome.")[0],
        "rgb": True,
        "multiscale": len(levels) > 1,
        "metadata": {"nucbudget": {"path": str(path), "mpp": mpp}},
    }
    if mpp is not None:
        arguments |= {"scale": (mpp, mpp), "units": ("µm", "µm")}
    return (levels if len(levels) > 1 else levels[0]), arguments, "image"


def _one(path: Paths) -> Path | None:
    if isinstance(path, (str, Path)):
        return Path(path)
    return Path(path[0]) if len(path) == 1 else None


def _levels(source: SlideSource) -> list[TiledLevel]:
    """(H, W, 3) uint8 levels, the largest first, down to one that is quick to load."""
    cache = TileCache()
    levels = []
    for number, array in enumerate(source.arrays):
        plain = isinstance(array, TiledLevel) and array.dtype == np.uint8 and array.shape[2] == 3
        levels.append(array if plain else _through(source, number, cache))
    while max(levels[-1].shape[:2]) > SMALLEST_LEVEL:
        levels.append(_smaller(levels[-1], len(levels), source.name, cache))
    for level in levels:
        level.forgiving = True
    return levels


def _through(source: SlideSource, number: int, cache: TileCache) -> TiledLevel:
    """A level that is stored in strips, planes or 16 bit, as 8-bit colours."""
    shape = source.levels[number].shape

    def decode(row: int, column: int) -> NDArray[np.uint8]:
        return source.read(Region(row * TILE, column * TILE, TILE, TILE).clipped(shape), number)

    return _level(shape, decode, number, source.name, cache)


def _smaller(larger: TiledLevel, number: int, name: str, cache: TileCache) -> TiledLevel:
    """A level that the file lacks, made from the next larger one where it is looked at."""
    height, width = (math.ceil(n / FACTOR) for n in larger.shape[:2])
    side = TILE * FACTOR

    def decode(row: int, column: int) -> NDArray[np.uint8]:
        window = larger[row * side : (row + 1) * side, column * side : (column + 1) * side]
        return shrunk(window, FACTOR)

    return _level((height, width), decode, number, name, cache)


def _level(
    shape: tuple[int, int],
    decode: Callable[[int, int], NDArray[np.uint8]],
    number: int,
    name: str,
    cache: TileCache,
) -> TiledLevel:
    return TiledLevel(
        (*shape, 3),
        np.uint8,
        tile=(TILE, TILE),
        decode=decode,
        path=name,
        number=number,
        cache=cache,
    )
