"""Proposing nuclei in an image of any size, tile by tile."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.proximity import Peaks
from napari_nucbudget.errors import ConfigError, DeviceError, PixelSizeError
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.infer.strips import pieces, strip_size
from napari_nucbudget.infer.tile_peaks import SCORE_FLOOR, TilePeaks, check_threshold
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.device import is_out_of_memory
from napari_nucbudget.types.image import ArraySource, ImageSource, Region, check_mpp
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress, result_of
from napari_nucbudget.types.score_map import ScoreMap

__all__ = [
    "SCORE_FLOOR",
    "WIDEST_MIN_DISTANCE_UM",
    "Detection",
    "ModelGrid",
    "detect",
    "iter_detect",
    "peaks",
]

SMALLEST_TILE = 64
WIDEST_MIN_DISTANCE_UM = 12.0
"""A kept map of a region gives the right peaks at its edge up to this minimum distance."""


@dataclass(frozen=True, eq=False)
class Detection:
    """What a run found: nuclei above the threshold, and the map if it was asked for."""

    nuclei: Nuclei
    threshold: float
    score_map: ScoreMap | None = None


def pixel_size(source: ImageSource, mpp: float | None) -> float:
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
    (`Nuclei.above`). Equal to running anew with that minimum distance, which
    holds at the edge of a region up to `WIDEST_MIN_DISTANCE_UM`.
    """
    found = TilePeaks.of(detector, min_distance_um).scored(score_map.values, SCORE_FLOOR)
    level0 = score_map.to_level0(found.yx)
    own = np.ones(len(level0), dtype=bool)
    if score_map.region is not None:
        own = score_map.region.contains(level0)
    score = np.clip(found.height[own], 0, 1)
    return Nuclei.from_points(level0[own], score=score, origin=detector.card.name)


def iter_detect(
    source: ImageSource,
    detector: Detector,
    *,
    region: Region | None = None,
    mpp: float | None = None,
    threshold: float | None = None,
    min_distance_um: float | None = None,
    tile: int | None = None,
    keep_map: bool = False,
    floor: float = SCORE_FLOOR,
) -> Generator[Progress, None, Detection]:
    """Detect nuclei, yielding progress after every piece and returning a `Detection`.

    Tiles give the same nuclei as the image as a whole: each is read with a
    halo of receptive-field radius, smoothing radii and minimum distance, and
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
    tile : int, optional
        Side of a tile in model pixels, halved when memory runs out; default the detector's, or
        strips of that width where the detector computes in bands.
    keep_map : bool
        Keep the smoothed map of the region and a margin, 4 bytes per model pixel.
    floor : float
        Peaks below it are never kept; curves of precision and recall want it lower.

    Raises
    ------
    PixelSizeError
        Where neither `mpp` nor the source gives a pixel size.
    RegionError
        Where the region lies outside the image.
    DeviceError
        Where memory runs out even with the smallest tile, or does not hold the map.
    ConfigError
        Where the threshold, the minimum distance or the tile makes no sense.
    """
    card = detector.card
    if tile is not None and tile < 1:
        raise ConfigError(f"A tile must be at least 1 pixel wide, got {tile}.")
    grid = ModelGrid.of(source, mpp=pixel_size(source, mpp), model_mpp=card.input.mpp)
    wanted = Region.whole(source.shape) if region is None else region.clipped(source.shape)
    window = grid.region(wanted)
    rule = TilePeaks.of(detector, min_distance_um)
    threshold = check_threshold(threshold, card)
    if not floor >= 0:
        raise ConfigError(f"The lowest score to keep must be at least 0, got {floor!r}.")
    floor = max(threshold, floor)
    kept = None
    if keep_map:
        margin = math.ceil(WIDEST_MIN_DISTANCE_UM / card.input.mpp) + 1
        window = window.padded(margin).clipped(grid.shape)
        kept = _map_of(window)

    found: list[Peaks] = []
    count = done = 0
    queue = deque(rule.tiles(window, grid.shape, tile or strip_size(detector)))
    fits = tile or detector.dense_tile
    total = window.area
    while queue:
        whole = queue.popleft()
        rest = whole.core  # what has no nuclei yet
        try:
            for piece, proximity in pieces(whole, grid, detector, rule):
                smoothed, core = rule.smoothed(proximity), piece.core
                if kept is not None:
                    inner = core.shifted(-piece.read.y, -piece.read.x)
                    kept[core.shifted(-window.y, -window.x).slices] = smoothed[inner.slices]
                own = rule.owned(smoothed, piece, floor)
                count += int(wanted.contains((own.yx + 0.5) * grid.step - 0.5).sum())
                found.append(own)
                done += core.area
                rest = Region(core.bottom, rest.x, rest.bottom - core.bottom, rest.width)
                yield Progress(done, total, count)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            fits = _smaller(rest, fits, error)
            cores = [rest, *(later.core for later in queue)]
            queue = deque(t for core in cores for t in rule.tiles(core, grid.shape, fits))

    pixel = np.concatenate([part.pixel for part in found])
    height = np.concatenate([part.height for part in found])
    level0 = (np.concatenate([part.yx for part in found]) + 0.5) * grid.step - 0.5
    order = np.lexsort((pixel[:, 1], pixel[:, 0]))
    keep = order[(wanted.contains(level0) & (height >= np.float32(threshold)))[order]]
    nuclei = Nuclei.from_points(level0[keep], score=np.clip(height[keep], 0, 1), origin=card.name)
    score_map = None
    if kept is not None:
        score_map = ScoreMap(kept, (window.y, window.x), grid.step, wanted)
    return Detection(nuclei, threshold, score_map)


def _smaller(core: Region, fits: int, error: BaseException) -> int:
    """Side of tiles to try after one of at most `fits` that did not fit into memory."""
    height, width = min(core.height, fits), min(core.width, fits)
    size = max(height, width) // 2
    if size < SMALLEST_TILE:
        raise DeviceError(
            f"Memory ran out even for a tile of {height} x {width} pixels. "
            "Close other programs, or compute on the processor (--device cpu)."
        ) from error
    return size


def _map_of(window: Region) -> NDArray[np.float32]:
    try:
        return np.zeros((window.height, window.width), np.float32)
    except MemoryError as error:
        raise DeviceError(
            f"Memory does not hold the score map of {window.height} x {window.width} pixels. "
            "Choose a smaller region."
        ) from error


def detect(
    image: ImageSource | NDArray[Any] | str | os.PathLike[str],
    detector: Detector,
    *,
    mpp: float | None = None,
    region: Region | None = None,
    threshold: float | None = None,
    min_distance_um: float | None = None,
    tile: int | None = None,
    floor: float = SCORE_FLOOR,
) -> Nuclei:
    """Nuclei of an image: an array, a file or an `ImageSource`.

    The short form of `iter_detect`, which reports progress and takes the same
    arguments.

    Examples
    --------
    >>> from napari_nucbudget import detect, load_detector
    >>> nuclei = detect("biopsy.png", load_detector("nuclei-fast"), mpp=0.25)  # doctest: +SKIP
    """
    if isinstance(image, (str, os.PathLike)):
        from napari_nucbudget.io.images import open_image

        source: ImageSource = open_image(os.fspath(image), mpp=mpp)
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
        floor=floor,
    )
    try:
        return result_of(steps).nuclei
    finally:
        if isinstance(image, (str, os.PathLike)) and hasattr(source, "close"):
            source.close()
