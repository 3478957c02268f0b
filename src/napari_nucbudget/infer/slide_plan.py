"""In which order a slide is computed: blocks of tiles over tissue, always the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.tiling import Tile, tiles
from napari_nucbudget.core.tissue import TissueMask
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.types.image import Region

__all__ = ["BLOCK", "Block", "level0", "plan_blocks", "tile_for_memory"]

BLOCK = 2048
"""Side of a block, model pixels: what is written, sent to another machine, or lost at most."""
GIB = 1 << 30
TILES_BY_MEMORY = ((3.0, 1024), (1.75, 512), (1.25, 256))
"""Smallest memory in GiB, and the side of tiles that stays below it: some 0.7 GiB for the program,
and up to 1.1 kB a pixel in the network's layers."""


@dataclass(frozen=True, eq=False)
class Block:
    """A square of tiles, of which only those on tissue are computed.

    Attributes
    ----------
    number : int
        Place in the order of blocks.
    core : Region
        Its pixels of the model grid.
    tiles : tuple of Tile
        Those that overlap tissue.
    tissue : TissueMask
        The part of the slide's mask that it needs.
    corner : (int, int)
        Row and column of the slide's mask at which `tissue` begins.
    """

    number: int
    core: Region
    tiles: tuple[Tile, ...]
    tissue: TissueMask
    corner: tuple[int, int]

    @property
    def area(self) -> int:
        """Model pixels of its tiles."""
        return sum(tile.core.area for tile in self.tiles)

    def on_tissue(self, yx: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of (N, 2) level-0 points, all within the block, lie on tissue."""
        step = self.tissue.step
        index = np.floor((yx.astype(np.float64) + 0.5) / step).astype(np.int64) - self.corner
        index = np.clip(index, 0, np.array(self.tissue.mask.shape) - 1)
        found: NDArray[np.bool_] = self.tissue.mask[index[:, 0], index[:, 1]]
        return found


def plan_blocks(
    grid: ModelGrid, tissue: TissueMask, *, tile: int, halo: int, align: int
) -> list[Block]:
    """Blocks with any tissue, row by row; the plan depends on nothing but the arguments."""
    blocks: list[Block] = []
    for square in tiles(Region.whole(grid.shape), grid.shape, size=BLOCK, halo=0):
        inside = tiles(square.core, grid.shape, size=tile, halo=halo, align=align)
        chosen = tuple(t for t in inside if tissue.overlaps(level0(grid, t.core)))
        if chosen:
            part, corner = _part(tissue, level0(grid, square.core))
            blocks.append(Block(len(blocks), square.core, chosen, part, corner))
    return blocks


def level0(grid: ModelGrid, region: Region) -> Region:
    """Smallest level-0 region that covers one of the model grid."""
    y, x = math.floor(region.y * grid.step), math.floor(region.x * grid.step)
    bottom, right = math.ceil(region.bottom * grid.step), math.ceil(region.right * grid.step)
    if region.bottom == grid.shape[0]:  # rounding may cut off part of the last pixel
        bottom = grid.source.shape[0]
    if region.right == grid.shape[1]:
        right = grid.source.shape[1]
    return Region(y, x, bottom - y, right - x).clipped(grid.source.shape)


def tile_for_memory(max_memory: int, *, wanted: int = 1024) -> int:
    """Side of tiles with which a run stays below so many bytes.

    `wanted` is the side at which the detector's halo costs little; where it is above 1024, the
    network takes so much less memory a pixel that it fits as well.

    Raises
    ------
    ConfigError
        Where no tile is small enough.
    """
    for gib, tile in TILES_BY_MEMORY:
        if max_memory >= gib * GIB:
            return max(tile, wanted) if tile == 1024 else tile
    raise ConfigError(
        f"{max_memory / GIB:.2f} GiB of memory do not suffice: the program and its libraries alone "
        f"take most of a GiB. Allow at least {TILES_BY_MEMORY[-1][0]} GiB (--max-memory)."
    )


def _part(tissue: TissueMask, region: Region) -> tuple[TissueMask, tuple[int, int]]:
    """The squares of a mask in and around a level-0 region, and where they begin."""
    rows, columns = tissue.mask.shape
    # A refined peak lies up to half a model pixel outside the core that owns it.
    top = max(0, min(int(region.y / tissue.step) - 2, rows - 1))
    left = max(0, min(int(region.x / tissue.step) - 2, columns - 1))
    bottom = math.ceil(region.bottom / tissue.step) + 2
    right = math.ceil(region.right / tissue.step) + 2
    part = tissue.mask[top:bottom, left:right].copy()
    return TissueMask(part, tissue.step), (top, left)
