"""Blocks of a slide to nuclei: reading, network and peaks at the same time.

Threads read ahead; the network runs in the caller's thread; other threads
find the peaks of the maps before. What comes out does not depend on any of
it: tiles, batches and order follow from the plan alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.proximity import Peaks
from napari_nucbudget.core.tiling import Tile
from napari_nucbudget.errors import DeviceError, TileError
from napari_nucbudget.infer.classify import classifier_grid, iter_classify, typed_together
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.infer.slide_plan import Block, level0
from napari_nucbudget.infer.tile_peaks import TilePeaks
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.device import is_out_of_memory
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of

__all__ = ["BlockResult", "SlideModel", "TileDone", "compute_blocks"]

SMALLEST_PIECE = 32
"""Side, in model pixels, of the squares around damage that are given up."""


@dataclass(frozen=True, eq=False)
class SlideModel:
    """Everything that turns a block of one slide into nuclei.

    Attributes
    ----------
    grid : ModelGrid
        The slide at the detector's pixel size.
    mpp : float
        µm per level-0 pixel.
    detector, rule, threshold
        Who finds nuclei, how, and the lowest score.
    classifier : Classifier or None
        Who types them.
    """

    grid: ModelGrid
    mpp: float
    detector: Detector
    rule: TilePeaks
    threshold: float
    classifier: Classifier | None = None

    @cached_property
    def typing_grid(self) -> ModelGrid:
        """The slide as the classifier takes it; its stain is looked at once."""
        assert self.classifier is not None
        return classifier_grid(self.grid.source, self.classifier, mpp=self.mpp)

    @classmethod
    def of(
        cls,
        source: ImageSource,
        detector: Detector,
        *,
        mpp: float,
        threshold: float,
        min_distance_um: float | None = None,
        classifier: Classifier | None = None,
    ) -> SlideModel:
        grid = ModelGrid.of(source, mpp=mpp, model_mpp=detector.card.input.mpp)
        rule = TilePeaks.of(detector, min_distance_um)
        return cls(grid, mpp, detector, rule, threshold, classifier)


@dataclass(frozen=True, eq=False)
class BlockResult:
    """The nuclei of a block, and the level-0 places of it that do not decode, each with why.

    `scores` is the map of the block in 0 .. 255, where it was asked for.
    """

    number: int
    nuclei: Nuclei
    skipped: tuple[tuple[Region, str], ...] = ()
    scores: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class TileDone:
    """So many model pixels more are computed."""

    area: int


@dataclass(eq=False)
class _Open:
    """A block whose tiles are on their way."""

    block: Block
    peaks: list[Future[Peaks]]
    skipped: list[tuple[Region, str]]
    scores: NDArray[np.uint8] | None = None


Read = list[tuple[Tile, "NDArray[np.float32] | str"]]
"""Pieces of a tile with their pixels, or with the reason why there are none."""


def compute_blocks(
    model: SlideModel,
    blocks: Iterable[Block],
    *,
    readers: int = 2,
    ahead: int = 4,
    scores: bool = False,
) -> Generator[TileDone | BlockResult, None, None]:
    """Results of blocks in their order, with a `TileDone` after every tile.

    Parameters
    ----------
    model : SlideModel
    blocks : iterable of Block
    readers : int
        Threads that read and decode, and as many that find peaks.
    ahead : int
        Tiles that wait in memory for the network, about 13 MB each.
    scores : bool
        Also give the maps of scores.

    Raises
    ------
    SlideGoneError
        Where the slide disappears or shrinks meanwhile.
    DeviceError
        Where memory runs out.
    """
    reading = ThreadPoolExecutor(readers, thread_name_prefix="slide-read")
    seeking = ThreadPoolExecutor(readers, thread_name_prefix="slide-peaks")
    queue: deque[tuple[_Open, bool, Future[Read]]] = deque()
    waiting: deque[_Open] = deque()
    maps: deque[Future[Peaks]] = deque()
    begun: deque[tuple[Tile, Callable[[], NDArray[Any]]]] = deque()
    plan = _tiles_of(blocks, model, scores)

    def settle(opened: _Open) -> None:
        """The map of the tile that was begun first, on its way to become peaks."""
        piece, wait = begun.popleft()
        with _memory_for(piece):
            proximity = wait()
        opened.peaks.append(seeking.submit(_peaks, model, proximity, piece, opened))
        maps.append(opened.peaks[-1])
        while len(maps) > readers:  # a GPU is faster than who finds the peaks
            maps.popleft().result()

    try:
        while True:
            while len(queue) < ahead and (step := next(plan, None)) is not None:
                opened, tile, last = step
                queue.append((opened, last, reading.submit(_read, model.grid, tile, model.rule)))
            if not queue:
                break
            opened, last, pending = queue.popleft()
            done = 0
            for piece, pixels in pending.result():
                done += piece.core.area
                if isinstance(pixels, str):
                    opened.skipped.append((level0(model.grid, piece.core), pixels))
                    continue
                with _memory_for(piece):
                    begun.append((piece, model.detector.begin(pixels)))
                if len(begun) > model.detector.ahead:
                    settle(opened)
            while last and begun:
                settle(opened)
            yield TileDone(done)
            if last:
                waiting.append(opened)
            while waiting and all(peaks.done() for peaks in waiting[0].peaks):
                yield _finished(model, waiting.popleft())
        while waiting:
            yield _finished(model, waiting.popleft())
    finally:
        for pool in (reading, seeking):
            pool.shutdown(wait=True, cancel_futures=True)


def _tiles_of(
    blocks: Iterable[Block], model: SlideModel, scores: bool
) -> Iterator[tuple[_Open, Tile, bool]]:
    """Every tile with its block, and whether it is the block's last."""
    for block in blocks:
        opened = _Open(block, [], [])
        if scores:
            opened.scores = np.zeros((block.core.height, block.core.width), np.uint8)
        for tile in block.tiles:
            yield opened, tile, tile is block.tiles[-1]


def _read(grid: ModelGrid, tile: Tile, rule: TilePeaks) -> Read:
    """Pixels of a tile; around damage, of its quarters, until the damage is cut out.

    A piece cannot be computed without its halo, so that what is given up
    reaches as far as the halo beyond what does not decode.
    """
    try:
        return [(tile, grid.read(tile.read))]
    except TileError as error:
        side = max(tile.core.height, tile.core.width)
        if side <= SMALLEST_PIECE:
            return [(tile, str(error))]
        pieces = rule.tiles(tile.core, grid.shape, (side + 1) // 2)
        return [part for piece in pieces for part in _read(grid, piece, rule)]


@contextmanager
def _memory_for(tile: Tile) -> Iterator[None]:
    """Says in words that a tile did not fit."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"Memory ran out in a tile of {tile.core.height} x {tile.core.width} pixels. Close "
            "other programs and give the same command again, or begin anew in another folder "
            "with less memory (--max-memory) or on the processor (--device cpu)."
        ) from error


def _peaks(model: SlideModel, proximity: NDArray[Any], tile: Tile, opened: _Open) -> Peaks:
    smoothed = model.rule.smoothed(proximity)
    if opened.scores is not None:
        core, read, block = tile.core, tile.read, opened.block.core
        inner = smoothed[core.shifted(-read.y, -read.x).slices]
        place = core.shifted(-block.y, -block.x).slices
        opened.scores[place] = np.round(np.clip(inner, 0, 1) * 255).astype(np.uint8)
    return model.rule.owned(smoothed, tile, model.threshold)


def _finished(model: SlideModel, opened: _Open) -> BlockResult:
    """Nuclei of a block in reading order of their pixels, typed where a classifier is given."""
    parts = [peaks.result() for peaks in opened.peaks]
    classes = DEFAULT_CLASSES if model.classifier is None else model.classifier.classes
    nuclei = Nuclei.empty(classes)
    if parts:
        pixel = np.concatenate([part.pixel for part in parts])
        height = np.concatenate([part.height for part in parts])
        step = model.grid.step
        yx = ((np.concatenate([part.yx for part in parts]) + 0.5) * step - 0.5).astype(np.float32)
        order = np.lexsort((pixel[:, 1], pixel[:, 0]))
        inside = Region.whole(model.grid.source.shape).contains(yx)
        keep = order[(inside & opened.block.on_tissue(yx))[order]]
        nuclei = Nuclei.from_points(
            yx[keep],
            score=np.clip(height[keep], 0, 1),
            origin=model.detector.card.name,
            classes=classes,
        )
    skipped = list(opened.skipped)
    if model.classifier is not None:
        nuclei = _typed(model, nuclei)
    return BlockResult(opened.block.number, nuclei, tuple(skipped), opened.scores)


def _typed(model: SlideModel, nuclei: Nuclei) -> Nuclei:
    """The nuclei with classes; those whose surroundings do not decode have none, and 0 in prob."""
    assert model.classifier is not None
    source = model.grid.source
    try:
        return result_of(iter_classify(source, nuclei, model.classifier, grid=model.typing_grid))
    except TileError:
        together = typed_together(model.typing_grid, nuclei, model.classifier)
        if len(together) > 1:
            parts = [_typed(model, nuclei.select(rows)) for rows in together]
            return Nuclei.concat(parts).select(np.argsort(np.concatenate(together)))
        return Nuclei.from_points(
            nuclei.yx,
            score=nuclei.score,
            origin=list(nuclei.origin),
            id=nuclei.id,
            prob=np.zeros((len(nuclei), len(nuclei.classes))),
            classes=nuclei.classes,
        )
