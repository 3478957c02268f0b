"""A whole slide to a table of nuclei: in bounded memory, and stopped and resumed at will."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import napari_nucbudget
from napari_nucbudget.core.tissue import TissueMask, find_tissue
from napari_nucbudget.errors import ConfigError, OutputError, ProjectLockedError
from napari_nucbudget.infer.detect import pixel_size
from napari_nucbudget.infer.slide_blocks import (
    BlockResult,
    SlideModel,
    TileDone,
    compute_blocks,
)
from napari_nucbudget.infer.slide_plan import GIB, Block, plan_blocks, tile_for_memory
from napari_nucbudget.infer.slide_writer import Pace, SlideWriter
from napari_nucbudget.infer.tile_peaks import check_threshold
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.slide_runs import TISSUE_FILE, FinalTable, SlideRunFolder
from napari_nucbudget.io.slides import slide_fingerprint
from napari_nucbudget.io.tissue_files import read_mask, write_mask
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.device import choose_precision
from napari_nucbudget.project.lock import WriteLock
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ImageSource

__all__ = [
    "MAX_MEMORY",
    "Compute",
    "PreparedSlide",
    "SlideProgress",
    "SlideResult",
    "SlideSettings",
    "compute_here",
    "iter_slide",
]

MAX_MEMORY = 4 * GIB
READERS = 16
"""At most so many threads that decode and rescale, and as many that find peaks. The network on a
processor needs one of each; on a GPU it waits for them, however many there are."""
TILE_BYTES = 16
"""A tile that waits takes so many bytes a pixel, floats of three channels and what resampling
keeps beside them."""


@dataclass(frozen=True)
class SlideSettings:
    """How a slide is computed.

    Attributes
    ----------
    mpp : float, optional
        µm per level-0 pixel; overrides the slide's.
    threshold, min_distance_um : float, optional
        Default the detector's.
    mask : Path, optional
        Picture of the tissue, anything but black; default it is found.
    max_memory : int
        Bytes that the run may take.
    scores : bool
        Keep the map of scores, a byte a model pixel, in ``scores.zarr``.
    must_exist : bool
        Refuse to begin a run: only go on with one.
    """

    mpp: float | None = None
    threshold: float | None = None
    min_distance_um: float | None = None
    mask: Path | None = None
    max_memory: int = MAX_MEMORY
    scores: bool = False
    must_exist: bool = False


@dataclass(frozen=True)
class SlideProgress:
    """How far a slide is.

    `done` and `total` are model pixels, `found` nuclei; `seconds_left` is None until the
    pace is known; `resumed` counts the blocks that an earlier run had done.
    """

    done: int
    total: int
    found: int
    seconds_left: float | None = None
    resumed: int = 0


@dataclass(frozen=True)
class SlideResult:
    """A finished slide; `area_mm2` is its tissue, `seconds` what this call took."""

    path: Path
    folder: Path
    table: FinalTable
    mpp: float
    area_mm2: float
    seconds: float
    resumed: int


Compute = Callable[["PreparedSlide", list[Block]], Generator[TileDone | BlockResult, None, None]]
"""What turns blocks into results: threads here, or a cluster. In any order."""


@dataclass(frozen=True, eq=False)
class PreparedSlide:
    """A run that was begun or found, ready to compute the blocks that are missing."""

    run: SlideRunFolder
    path: Path
    source: ImageSource
    model: SlideModel
    settings: SlideSettings
    tissue: TissueMask
    tile: int
    blocks: list[Block]


def iter_slide(
    path: Path | str,
    detector: Detector,
    *,
    out: Path | str,
    classifier: Classifier | None = None,
    settings: SlideSettings | None = None,
    compute: Compute | None = None,
) -> Generator[SlideProgress, None, SlideResult]:
    """Compute a slide into the folder `out`, or go on with what is there.

    Stopped at any moment, by closing this generator, by kill -9 or by a power
    cut, the same call goes on where it was; the table is then, row for row,
    what it would have been without the stop.

    Parameters
    ----------
    path : path
    detector : Detector
    out : path
        Folder of this slide's run; it is made where it is absent.
    classifier : Classifier, optional
    settings : SlideSettings, optional
    compute : callable, optional
        Who computes the blocks; default threads of this process.

    Raises
    ------
    ImageError
        Where the slide cannot be read, or disappears; what is done is kept.
    OutputError
        Where the folder is another slide's, of other settings, in use, or cannot be written;
        what is done is kept.
    ConfigError, DeviceError
    """
    settings = settings or SlideSettings()
    path, out = Path(path), Path(out)
    tile_for_memory(settings.max_memory)
    source = open_image(path, mpp=settings.mpp)
    try:
        lock = _lock(out)
        try:
            slide = prepare(path, source, detector, out, classifier, settings)
            return (yield from _run(slide, compute or compute_here))
        finally:
            lock.release()
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def prepare(
    path: Path,
    source: ImageSource,
    detector: Detector,
    out: Path,
    classifier: Classifier | None,
    settings: SlideSettings,
) -> PreparedSlide:
    """Begin a run, or find the one that is there and check that it is the same."""
    mpp = pixel_size(source, settings.mpp)
    threshold = check_threshold(settings.threshold, detector.card)
    model = SlideModel.of(
        source,
        detector,
        mpp=mpp,
        threshold=threshold,
        min_distance_um=settings.min_distance_um,
        classifier=classifier,
    )
    run = SlideRunFolder.find(out)
    if run is None and settings.must_exist:
        raise OutputError(f"There is no run to go on with in {out}. Leave out --resume to begin.")
    slide = {
        "name": source.name,
        "shape": list(source.shape),
        "fingerprint": slide_fingerprint(path),
    }
    given = _settings(model, settings)
    tile = tile_for_memory(settings.max_memory, wanted=model.detector.tile)
    if run is None:
        tissue = _tissue(source, mpp, settings)
        out.mkdir(parents=True, exist_ok=True)
        write_mask(out / TISSUE_FILE, tissue)
        classes = DEFAULT_CLASSES if classifier is None else classifier.classes
        facts = {
            "slide": slide,
            "settings": given,
            "tile": tile,
            "tissue_step": tissue.step,
            "classes": [asdict(c) for c in classes.classes],
            "versions": _versions(),
        }
        run = SlideRunFolder.begin(out, facts)
    else:
        run.check(slide, given)
        begun = int(run.facts["tile"])  # kept, so that all is the same as without the stop
        if begun > tile_for_memory(settings.max_memory, wanted=max(begun, tile)):
            raise ConfigError(
                f"{out} was begun with tiles of {begun} pixels, which need more than "
                f"{settings.max_memory / GIB:g} GiB. Allow as much memory as then "
                "(--max-memory), or begin anew in another folder (--out)."
            )
        tile = begun
        kept = read_mask(out / TISSUE_FILE, source.shape)
        tissue = TissueMask(kept.mask, float(run.facts["tissue_step"]))
    blocks = plan_blocks(
        model.grid, tissue, tile=tile, halo=model.rule.halo, align=model.rule.align
    )
    return PreparedSlide(run, path, source, model, settings, tissue, tile, blocks)


def compute_here(
    slide: PreparedSlide, blocks: list[Block]
) -> Generator[TileDone | BlockResult, None, None]:
    """Compute blocks with the threads of this process, within the memory that is allowed."""
    side = slide.tile + 2 * slide.model.rule.halo
    spare = slide.settings.max_memory // 16
    readers = min(READERS, os.cpu_count() or 1)
    ahead = max(1, min(2 * readers, spare // (side * side * TILE_BYTES)))
    yield from compute_blocks(
        slide.model,
        blocks,
        readers=readers,
        ahead=ahead,
        scores=slide.settings.scores,
    )


def _run(slide: PreparedSlide, compute: Compute) -> Generator[SlideProgress, None, SlideResult]:
    started = time.monotonic()
    area = slide.tissue.area_mm2(slide.model.mpp, slide.source.shape)
    numbers = [block.number for block in slide.blocks]
    total = sum(block.area for block in slide.blocks)
    table = slide.run.finished()
    resumed = len(numbers)
    if table is None:
        ready = slide.run.done(numbers)
        resumed = len(ready)
        missing = [block for block in slide.blocks if block.number not in ready]
        before = total - sum(block.area for block in missing)
        found = sum(ready.values())
        yield SlideProgress(before, total, found, None, resumed)
        pace = Pace(before, total)
        with SlideWriter(
            slide.run, slide.blocks, slide.model.grid, scores=slide.settings.scores
        ) as writer:
            results = compute(slide, missing)
            try:
                for event in results:
                    if isinstance(event, TileDone):
                        pace.add(event.area)
                    else:
                        found += len(event.nuclei)
                        writer.put(event)
                    yield SlideProgress(pace.done, total, found, pace.seconds_left(), resumed)
            finally:
                results.close()
        source = slide.source
        table = slide.run.finish(numbers, source.name, source.shape, slide.model.mpp)
    else:
        slide.run.clear_parts()
        yield SlideProgress(total, total, table.nuclei, 0.0, resumed)
    seconds = time.monotonic() - started
    mpp = slide.model.mpp
    return SlideResult(slide.path, slide.run.path, table, mpp, area, seconds, resumed)


def _settings(model: SlideModel, settings: SlideSettings) -> dict[str, Any]:
    """All that the numbers depend on, for `run.json`."""
    detector, classifier = model.detector, model.classifier
    precision = choose_precision(detector.precision, detector.device, training=False)
    return {
        "model": detector.card.name,
        "model weights": detector.card.weights_sha256,
        "threshold": model.threshold,
        "minimum distance in pixels": model.rule.distance,
        "classifier": None if classifier is None else classifier.card.name,
        "classifier weights": None if classifier is None else classifier.card.weights_sha256,
        "pixel size": model.mpp,
        "runtime": detector.runtime_name,
        "classifier runtime": None if classifier is None else classifier.runtime_name,
        "precision": str(precision or "float32").removeprefix("torch."),
        "mask": None if settings.mask is None else _digest(settings.mask),
        "score map": settings.scores,
    }


def _digest(mask: Path) -> str:
    try:
        return hashlib.sha256(mask.read_bytes()).hexdigest()
    except OSError as error:
        raise OutputError(f"{mask} cannot be read: {error.strerror or error}.") from error


def _tissue(source: ImageSource, mpp: float, settings: SlideSettings) -> TissueMask:
    if settings.mask is not None:
        return read_mask(settings.mask, source.shape)
    return find_tissue(source, mpp=mpp)


def _versions() -> dict[str, str]:
    import numpy
    import torch

    return {
        "napari-nucbudget": napari_nucbudget.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def _lock(out: Path) -> WriteLock:
    try:
        out.mkdir(parents=True, exist_ok=True)
        return WriteLock(out / "run")
    except ProjectLockedError as error:
        raise OutputError(
            f"Another process computes into {out} at this moment. Wait for it, or choose another "
            "folder (--out)."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}. Choose another folder (--out)."
        ) from error
