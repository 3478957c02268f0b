"""What a slide run does beside computing: blocks go to disk, and the time left is told."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.infer.slide_blocks import BlockResult
from napari_nucbudget.infer.slide_plan import Block
from napari_nucbudget.io.slide_runs import SlideRunFolder
from napari_nucbudget.io.slide_scores import ScoreFile

__all__ = ["Pace", "SlideWriter"]


class SlideWriter:
    """Writes blocks in a thread of its own, so that the disk is waited for only when it lags."""

    WAITING = 1

    def __init__(
        self, run: SlideRunFolder, blocks: Iterable[Block], grid: ModelGrid, *, scores: bool
    ) -> None:
        self._run = run
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="slide-write")
        self._pending: list[Future[None]] = []
        self._scores: ScoreFile | None = None
        if scores:
            self._scores = ScoreFile.open(run.path, grid.shape, step=grid.step)
        self._cores = {block.number: block.core for block in blocks}

    def put(self, result: BlockResult) -> None:
        self._pending.append(self._pool.submit(self._write, result))
        while self._pending and (self._pending[0].done() or len(self._pending) > self.WAITING):
            self._pending.pop(0).result()

    def _write(self, result: BlockResult) -> None:
        if self._scores is not None and result.scores is not None:
            self._scores.write(self._cores[result.number], result.scores)
        self._run.write_part(result.number, result.nuclei, result.skipped)

    def __enter__(self) -> SlideWriter:
        return self

    def __exit__(self, *_: object) -> None:
        """What was computed is written also after a stop; then the first error is raised."""
        self._pool.shutdown(wait=True)
        for pending in self._pending:
            pending.result()


class Pace:
    """How long the rest will take, by what this run has done so far."""

    def __init__(self, before: int, total: int) -> None:
        self.done = self._before = before
        self._total = total
        self._started = time.monotonic()

    def add(self, area: int) -> None:
        self.done += area

    def seconds_left(self) -> float | None:
        mine = self.done - self._before
        if not mine:
            return None
        return (time.monotonic() - self._started) / mine * (self._total - self.done)
