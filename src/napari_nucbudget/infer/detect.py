"""Proposing nuclei in an image of any size, tile by tile."""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.proximity import Peaks, gaussian_radius, local_maxima, smooth
from napari_nucbudget.core.resample import Axis, grid_length, resample
from napari_nucbudget.core.tiling import Tile, tiles
from napari_nucbudget.errors import ConfigError, DeviceError, PixelSizeError
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.device import is_out_of_memory
from napari_nucbudget.types.image import ArraySource, ImageSource, Region, check_mpp
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.types.score_map import ScoreMap

__all__ = ["SCORE_FLOOR", "Detection", "ModelGrid", "detect", "iter_detect", "peaks"]

SCORE_FLOOR = 0.05
"""Proposals below this score are never kept, whatever the threshold."""
SMALLEST_TILE = 64


@dataclass(frozen=True, eq=False)
class Detection:
    """What a run found: nuclei above the threshold, and the map if it was asked for."""

    nuclei: Nuclei
    threshold: float
    score_map: ScoreMap | None = None


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
        y, x = math.floor(region.y / self.step), math.floor(region.x / self.step)
        bottom = math.ceil(region.bottom / self.step)
        right = math.ceil(region.right / self.step)
        return Region(y, x, bottom - y, right - x).clipped(self.shape)

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
        # A level's true downsample per axis: its shape was rounded by whoever wrote it.
        exact = self.source.shape[axis] / self.source.levels[self.level].shape[axis]
        step = self.step / exact
        return 1.0 if abs(step - 1) < 1e-3 else step


def _pixel_size(source: ImageSource, mpp: float | None) -> float:
    if mpp is not None:
        return check_mpp(mpp, of="given")
    if source.mpp is None:
        raise PixelSizeError(
            f"{source.name} does not say how large its pixels are. Give the pixel size in µm "
            "(--mpp 0.25 is usual for 40x, --mpp 0.5 for 20x); it is never guessed."
        )
    return source.mpp


def peaks(
    score_map: ScoreMap, detector: Detector, *, mpp: float, min_distance_um: float | None = None
) -> Nuclei:
    """All peaks of a kept map down to the score floor, in level-0 pixels.

    Cheap enough to run while a slider moves; thresholds are then a selection
    (`Nuclei.above`).
    """
    card = detector.card
    distance = _min_distance(detector, min_distance_um)
    found = local_maxima(score_map.values, min_distance=distance, threshold=SCORE_FLOOR)
    return Nuclei.from_points(
        score_map.to_level0(found.yx), score=np.clip(found.height, 0, 1), origin=card.name
    )


def _min_distance(detector: Detector, min_distance_um: float | None) -> float:
    card = detector.card
    um = card.min_distance_um if min_distance_um is None else min_distance_um
    if um is None or um <= 0:
        raise ConfigError(f"The minimum distance must be above 0 µm, got {um!r}.")
    return um / card.input.mpp


def iter_detect(
    source: ImageSource,
    detector: Detector,
    *,
    region: Region | None = None,
    mpp: float | None = None,
    threshold: float | None = None,
    min_distance_um: float | None = None,
    tile: int = 512,
    keep_map: bool = False,
) -> Generator[Progress, None, Detection]:
    """Detect nuclei, yielding progress after every tile and returning a `Detection`.

    Tiles give the same nuclei as the image as a whole: each is read with a
    halo of receptive-field radius, smoothing radius and minimum distance, and
    owns the peaks whose pixel lies in its core.

    Parameters
    ----------
    source : ImageSource
    detector : Detector
    region : Region, optional
        Level-0 rectangle in which nuclei are wanted; default the whole image.
    mpp : float, optional
        µm per level-0 pixel; overrides the source's.
    threshold : float, optional
        Lowest score, default the card's.
    min_distance_um : float, optional
        Default the card's.
    tile : int
        Side of a tile in model pixels; halved when memory runs out.
    keep_map : bool
        Keep the smoothed map of the region, 4 bytes per model pixel.

    Raises
    ------
    PixelSizeError
        Where neither `mpp` nor the source gives a pixel size.
    RegionError
        Where the region lies outside the image.
    DeviceError
        Where memory runs out even with the smallest tile.
    """
    card = detector.card
    grid = ModelGrid.of(source, mpp=_pixel_size(source, mpp), model_mpp=card.input.mpp)
    wanted = Region.whole(source.shape) if region is None else region.clipped(source.shape)
    window = grid.region(wanted)
    distance = _min_distance(detector, min_distance_um)
    sigma = card.smoothing_px or 0.0
    threshold = card.threshold if threshold is None else threshold
    if threshold is None or not 0 <= threshold <= 1:
        raise ConfigError(f"The threshold must lie in 0 .. 1, got {threshold!r}.")
    floor = max(threshold, SCORE_FLOOR)
    blur = gaussian_radius(sigma)
    halo = detector.halo + blur + math.ceil(distance) + 1
    values = np.zeros((window.height, window.width), np.float32) if keep_map else None

    found: list[Peaks] = []
    count = done = 0
    queue = list(tiles(window, grid.shape, size=tile, halo=halo))
    total = window.area
    while queue:
        piece = queue.pop(0)
        try:
            smoothed = smooth(detector.proximity(grid.read(piece.read)), sigma)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            queue[:0] = _quarters(piece, grid.shape, halo, error)
            continue
        core = piece.core
        top, left = core.y - piece.read.y, core.x - piece.read.x
        if values is not None:
            y, x = core.y - window.y, core.x - window.x
            values[y : y + core.height, x : x + core.width] = smoothed[
                top : top + core.height, left : left + core.width
            ]
        seen = local_maxima(smoothed, min_distance=distance, threshold=floor)
        place = (piece.read.y, piece.read.x)
        own = core.contains(seen.pixel + place)
        found.append(Peaks(seen.pixel[own] + place, seen.yx[own] + place, seen.height[own]))
        count += int(own.sum())
        done += core.area
        yield Progress(done, total, count)

    pixel = np.concatenate([part.pixel for part in found])
    height = np.concatenate([part.height for part in found])
    level0 = (np.concatenate([part.yx for part in found]) + 0.5) * grid.step - 0.5
    order = np.lexsort((pixel[:, 1], pixel[:, 0]))
    keep = order[(wanted.contains(level0) & (height >= np.float32(threshold)))[order]]
    nuclei = Nuclei.from_points(
        level0[keep], score=np.clip(height[keep], 0, 1), origin=card.name
    )
    score_map = None
    if values is not None:
        score_map = ScoreMap(values, (window.y, window.x), grid.step)
    return Detection(nuclei, threshold, score_map)


def _quarters(piece: Tile, shape: tuple[int, int], halo: int, error: BaseException) -> list[Tile]:
    """The four parts of a tile that did not fit into memory."""
    size = max(piece.core.height, piece.core.width) // 2
    if size < SMALLEST_TILE:
        raise DeviceError(
            f"Memory ran out even for a tile of {piece.core.height} x {piece.core.width} pixels. "
            "Close other programs, or compute on the processor (--device cpu)."
        ) from error
    return list(tiles(piece.core, shape, size=size, halo=halo))


def detect(
    image: ImageSource | NDArray[Any] | str | os.PathLike[str],
    detector: Detector,
    *,
    mpp: float | None = None,
    region: Region | None = None,
    threshold: float | None = None,
    min_distance_um: float | None = None,
    tile: int = 512,
) -> Nuclei:
    """Nuclei of an image: an array, a file or an `ImageSource`.

    The short form of `iter_detect`, which reports progress and takes the same
    arguments.

    Examples
    --------
    >>> from napari_nucbudget import detect, load_detector
    >>> nuclei = detect("biopsy.png", load_detector("nuclei-fcn"), mpp=0.25)  # doctest: +SKIP
    """
    if isinstance(image, (str, os.PathLike)):
        from napari_nucbudget.io.images import open_image

        source: ImageSource = open_image(os.fspath(image))
    elif isinstance(image, ImageSource):
        source = image
    else:
        source = ArraySource(image)
    steps = iter_detect(
        source,
        detector,
        region=region,
        mpp=mpp,
        threshold=threshold,
        min_distance_um=min_distance_um,
        tile=tile,
    )
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Detection = end.value
            return result.nuclei
