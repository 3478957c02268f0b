"""A drawn whole slide of any size in which every nucleus is known, written in bounded memory.

A few square blocks of tissue are drawn; turned and mirrored, they are laid
side by side over islands of tissue on bare glass. No nucleus crosses the
border of a block, so the truth is exact. A tile of the file is the JPEG of a
piece of a block, so most tiles are copied, not compressed anew.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ConfigError, OutputError
from napari_nucbudget.io.samples.noise import hashed, normal, smooth_noise, uniform
from napari_nucbudget.io.samples.slide_truth import write_truth
from napari_nucbudget.io.samples.tissue import LONGEST_UM, draw_tissue, glass_color
from napari_nucbudget.types.image import Region, check_mpp
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress

__all__ = ["TILE", "DrawnSlide", "iter_write_slide"]

TILE = 256
"""Side of the tiles in the file, pixels."""
JPEG_QUALITY = 85
SPREAD = 200_003
"""Pixels between the windows of the endless tissue from which blocks are taken."""
ISLAND_BLOCKS = 7.0
"""Size of an island of tissue, in blocks."""
SMALLEST_LEVEL = 2 * TILE


@dataclass(frozen=True, eq=False)
class DrawnSlide:
    """What lies where on a drawn slide.

    Attributes
    ----------
    shape : (int, int)
        Height and width in pixels.
    mpp : float
        µm per pixel.
    blocks : tuple of (side, side, 3) uint8
        Pixels of each distinct block; the last one is glass.
    nuclei_of : tuple of Nuclei
        Truth of each distinct block, in its own pixels.
    kind : (rows, columns) int
        Which block lies in each place.
    turn : (rows, columns) int
        How it is turned: quarter turns, and 4 where it is mirrored first.
    """

    shape: tuple[int, int]
    mpp: float
    blocks: tuple[NDArray[np.uint8], ...]
    nuclei_of: tuple[Nuclei, ...]
    kind: NDArray[np.int64]
    turn: NDArray[np.int64]
    _turned: dict[tuple[int, int], Nuclei] = field(default_factory=dict, repr=False)

    @property
    def side(self) -> int:
        return int(self.blocks[0].shape[0])

    @property
    def tissue_share(self) -> float:
        """Part of the places that hold tissue; what tissue they hold has gaps of its own."""
        return float((self.kind < len(self.blocks) - 1).mean())

    def row_of_nuclei(self, row: int) -> Nuclei:
        """Every nucleus of a row of blocks, in level-0 pixels of the slide."""
        parts = []
        for column in range(self.kind.shape[1]):
            key = (int(self.kind[row, column]), int(self.turn[row, column]))
            if key not in self._turned:
                nuclei = self.nuclei_of[key[0]]
                yx = turned_points(nuclei.yx, key[1], self.side)
                self._turned[key] = Nuclei.from_points(yx, label=nuclei.label)
            parts.append(self._turned[key].shifted(row * self.side, column * self.side))
        nuclei = Nuclei.concat(parts)
        return nuclei.select(Region.whole(self.shape).contains(nuclei.yx))

    def nuclei(self, region: Region | None = None) -> Nuclei:
        """The truth: every nucleus whose centre lies in a level-0 region, default anywhere."""
        wanted = Region.whole(self.shape) if region is None else region.clipped(self.shape)
        rows = range(wanted.y // self.side, (wanted.bottom - 1) // self.side + 1)
        nuclei = Nuclei.concat([self.row_of_nuclei(row) for row in rows])
        return nuclei.select(wanted.contains(nuclei.yx))

    @classmethod
    def draw(
        cls,
        shape: tuple[int, int],
        *,
        mpp: float = 0.5,
        seed: int = 0,
        tissue: float = 0.35,
        distinct: int = 4,
        side: int = 1024,
    ) -> Generator[Progress, None, DrawnSlide]:
        """Draw the blocks and lay them out, yielding progress; see `iter_write_slide`."""
        _check(shape, mpp, tissue, distinct, side)
        blocks, nuclei_of = [], []
        for number in range(distinct):
            yield Progress(number, distinct, message="drawing tissue")
            drawn = draw_tissue(
                (side, side),
                mpp=mpp,
                seed=seed,
                origin=(SPREAD * number, -SPREAD * number),
                clear_um=LONGEST_UM,
            )
            blocks.append(drawn.rgb)
            nuclei_of.append(drawn.nuclei)
        blocks.append(_glass(side, seed))
        nuclei_of.append(Nuclei.empty())
        rows, columns = (math.ceil(n / side) for n in shape)
        kind, turn = _layout(rows, columns, distinct, tissue, seed)
        return cls(shape, mpp, tuple(blocks), tuple(nuclei_of), kind, turn)


def _check(shape: tuple[int, int], mpp: float, tissue: float, distinct: int, side: int) -> None:
    check_mpp(mpp, of="drawn slide")
    if min(shape) < 1 or max(shape) > 1 << 20:
        raise ConfigError(
            f"A slide of {shape[0]} x {shape[1]} pixels cannot be written: 1 to 1,048,576 a side."
        )
    if not 0 <= tissue <= 1:
        raise ConfigError(f"The share of tissue lies in 0 .. 1, got {tissue:g}.")
    if distinct < 1:
        raise ConfigError(f"At least one block must be drawn, got {distinct}.")
    if side < TILE or side & (side - 1):
        raise ConfigError(f"The side of a block is 256, 512, 1024, ... pixels, got {side}.")


def _glass(side: int, seed: int) -> NDArray[np.uint8]:
    """(side, side, 3) of bare glass with the noise of a camera."""
    rows, columns = np.arange(side)[:, None, None], np.arange(side)[None, :, None]
    noise = normal(seed + 91, rows, columns, np.arange(3))
    return np.clip(glass_color(seed) + 1.5 * noise + 0.5, 0, 255).astype(np.uint8)


def _layout(
    rows: int, columns: int, distinct: int, tissue: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which block lies where, and how it is turned; islands take the wanted share of places."""
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    height = smooth_noise(seed + 92, y / ISLAND_BLOCKS, x / ISLAND_BLOCKS).astype(np.float64)
    order = np.argsort(height + 1e-6 * uniform(seed + 93, y, x), axis=None)[::-1]
    holds = np.zeros(rows * columns, np.bool_)
    holds[order[: round(tissue * rows * columns) or (tissue > 0)]] = True
    which = hashed(seed + 94, y, x).astype(np.int64) % distinct
    kind = np.where(holds.reshape(rows, columns), which, distinct)
    return kind, hashed(seed + 95, y, x).astype(np.int64) % 8


def turned(block: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """A square block, mirrored where `turn` is 4 or more, then turned by quarters."""
    return np.rot90(block[:, ::-1] if turn >= 4 else block, turn % 4)


def turned_points(yx: NDArray[np.float32], turn: int, side: int) -> NDArray[np.float32]:
    """Where (N, 2) points of a square block come to lie when `turned`."""
    y, x = yx[:, 0], yx[:, 1]
    if turn >= 4:
        x = side - 1 - x
    for _ in range(turn % 4):
        y, x = side - 1 - x, y
    return np.stack([y, x], axis=1)


def iter_write_slide(
    path: Path | str,
    shape: tuple[int, int],
    *,
    mpp: float = 0.5,
    seed: int = 0,
    tissue: float = 0.35,
    distinct: int = 4,
    side: int = 1024,
) -> Generator[Progress, None, DrawnSlide]:
    """Write a drawn slide as tiled, pyramidal OME-TIFF, and its truth as CSV beside it.

    The CSV is called ``<name>.truth.csv``. Both appear when they are whole.

    Parameters
    ----------
    path : path
        Ends with ``.ome.tif``, or at least ``.tif`` or ``.tiff``.
    shape : (int, int)
        Height and width in pixels.
    mpp : float
        µm per pixel.
    seed : int
        Another seed is another slide with another staining.
    tissue : float
        Share of the area over which tissue is laid.
    distinct : int
        How many blocks are drawn; drawing takes most of the time.
    side : int
        Side of a block in pixels, a power of two from 256 up.

    Raises
    ------
    ConfigError, PixelSizeError
        Where a setting makes no sense.
    OutputError
        Where the place cannot be written or is full; nothing is left behind then. Where the name
        is not that of a TIFF.
    """
    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(f"A drawn slide is a TIFF; call it {path.stem}.ome.tif, not {path.name}.")
    slide = yield from DrawnSlide.draw(
        shape, mpp=mpp, seed=seed, tissue=tissue, distinct=distinct, side=side
    )
    part = path.with_name(f".{secrets.token_hex(8)}.part")  # two may draw at once
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield from _write_tiff(part, path.name.split(".")[0], slide)
        write_truth(path.with_name(f"{path.name.split('.')[0]}.truth.csv"), slide, path.name)
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Choose another place or make "
            "room."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return slide


def _write_tiff(part: Path, name: str, slide: DrawnSlide) -> Generator[Progress, None, None]:
    import tifffile

    sizes = [slide.shape]
    while max(sizes[-1]) > SMALLEST_LEVEL and slide.side >> len(sizes):
        sizes.append((max(1, sizes[-1][0] // 2), max(1, sizes[-1][1] // 2)))
    options: dict[str, Any] = {
        "dtype": np.uint8,
        "tile": (TILE, TILE),
        "photometric": "ycbcr",
        "compression": "jpeg",
        "subsampling": (2, 2),
        "resolutionunit": "CENTIMETER",
    }
    metadata = {
        "axes": "YXS",
        "Name": name,
        "PhysicalSizeX": slide.mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": slide.mpp,
        "PhysicalSizeYUnit": "µm",
    }
    tiles = _Tiles(slide)
    big = math.prod(slide.shape) > 4e9  # at a byte a pixel the file may pass 4 GB
    with tifffile.TiffWriter(part, ome=True, bigtiff=big) as tif:
        for number, size in enumerate(sizes):
            yield Progress(number, len(sizes), message="writing levels")
            resolution = (1e4 / slide.mpp / 2**number,) * 2
            first: dict[str, Any] = {"subfiletype": 1}
            if number == 0:
                first = {"subifds": len(sizes) - 1, "metadata": metadata}
            tif.write(
                tiles.of_level(number, size),
                shape=(*size, 3),
                resolution=resolution,
                **first,
                **options,
            )


class _Tiles:
    """JPEG tiles of every level; equal ones are compressed once."""

    def __init__(self, slide: DrawnSlide) -> None:
        self._slide = slide
        self._small: dict[tuple[int, int, int], NDArray[np.uint8]] = {}
        self._encoded: dict[tuple[int, int, int, int, int], bytes] = {}

    def of_level(self, number: int, size: tuple[int, int]) -> Iterator[bytes]:
        rows, columns = (math.ceil(n / TILE) for n in size)
        for row in range(rows):
            for column in range(columns):
                yield self._tile(number, row, column)

    def _tile(self, number: int, row: int, column: int) -> bytes:
        side = self._slide.side >> number
        if side < TILE:
            return _encoded(self._composed(side, number, row, column))
        per = side // TILE
        place = (row // per, column // per)
        key = (*self._at(place), number, row % per, column % per)
        if key not in self._encoded:
            block = self._block(*key[:3])
            y, x = key[3] * TILE, key[4] * TILE
            self._encoded[key] = _encoded(block[y : y + TILE, x : x + TILE])
        return self._encoded[key]

    def _composed(self, side: int, number: int, row: int, column: int) -> NDArray[np.uint8]:
        """A tile that shows several blocks."""
        per = TILE // side
        tile = np.full((TILE, TILE, 3), 255, np.uint8)
        height, width = self._slide.kind.shape
        for i in range(min(per, height - row * per)):
            for j in range(min(per, width - column * per)):
                block = self._block(*self._at((row * per + i, column * per + j)), number)
                tile[i * side : (i + 1) * side, j * side : (j + 1) * side] = block
        return tile

    def _at(self, place: tuple[int, int]) -> tuple[int, int]:
        return int(self._slide.kind[place]), int(self._slide.turn[place])

    def _block(self, kind: int, turn: int, number: int) -> NDArray[np.uint8]:
        """A turned block at a level; the mean of four pixels does not mind how it is turned."""
        if number == 0:
            return turned(self._slide.blocks[kind], turn)
        key = (kind, turn, number)
        if key not in self._small:
            larger = self._block(kind, turn, number - 1)
            half = larger.shape[0] // 2
            quads = larger.reshape(half, 2, half, 2, 3).sum(axis=(1, 3), dtype=np.uint16)
            self._small[key] = ((quads + 2) >> 2).astype(np.uint8)
        return self._small[key]


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    import imagecodecs

    data = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(pixels),
        level=JPEG_QUALITY,
        colorspace="RGB",
        outcolorspace="YCBCR",
        subsampling="420",
    )
    return bytes(data)
