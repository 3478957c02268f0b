"""A tile in pieces, each with its map: all at once, or as a network in bands gives its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.tiling import Tile
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.infer.tile_peaks import TilePeaks
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import Region

__all__ = ["WORTH_BANDS", "pieces", "strip_size"]

WORTH_BANDS = 900_000
"""Pixels of a tile up to which it is computed at once: it is no faster in bands."""
PIECE = 256
"""Rows of a piece at least: peaks are sought in all of them at once."""


def strip_size(detector: Detector) -> tuple[int, int] | int:
    """Tiles that cover an area with the least halo: strips as high as the image, or squares."""
    if detector.band_rows is None:
        return detector.dense_tile
    return 1 << 31, detector.dense_tile


def pieces(
    tile: Tile, grid: ModelGrid, detector: Detector, rule: TilePeaks
) -> Iterator[tuple[Tile, NDArray[Any]]]:
    """Tiles from the top of `tile` down whose cores make up its own, each with its map.

    In bands only a few hundred rows of a tile are in memory, however high it is. The map
    holds what the peaks of a piece's core depend on.
    """
    rows = detector.band_rows
    if rows is None or tile.read.area <= WORTH_BANDS:
        yield tile, detector.proximity(grid.read(tile.read))
        return
    core, read = tile.core, tile.read
    top, done = read.y, core.y  # of what is kept of the map, and of what has no piece yet
    kept = np.zeros((0, read.width), np.float32)
    for part in detector.proximity_in_bands(grid.bands(read, rows)):
        kept = np.concatenate([kept, part])
        bottom = top + len(kept)
        ready = core.bottom if bottom == read.bottom else min(bottom - rule.sight, core.bottom)
        if (ready - done < PIECE and ready < core.bottom) or ready <= done:
            continue
        yield (
            Tile(
                core=Region(done, core.x, ready - done, core.width),
                read=Region(top, read.x, len(kept), read.width),
            ),
            kept,
        )
        done = ready
        unseen = max(done - rule.sight - top, 0)
        kept, top = kept[unseen:], top + unseen
