"""Slides on many machines: dask.distributed computes blocks, one process keeps them.

A task is a block of a slide, some seconds of work, and depends on nothing but
the slide and its arguments: where a worker dies, the scheduler gives its
blocks to others. Workers need the slide and the model at the same path; only
the process that asks writes results, into the same folder and in the same way
as a single machine does, so that either may go on with what the other began.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from napari_nucbudget.errors import ConfigError, DeviceError, ImageError, ModelError
from napari_nucbudget.infer.slide import Compute, PreparedSlide
from napari_nucbudget.infer.slide_blocks import (
    BlockResult,
    SlideModel,
    TileDone,
    compute_blocks,
)
from napari_nucbudget.infer.slide_plan import Block
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.slides import slide_fingerprint
from napari_nucbudget.models.library import load_classifier, load_detector

__all__ = ["BlockJob", "compute_block", "compute_on", "connected"]

TASKS_PER_THREAD = 2
"""Blocks that are handed out per thread of the cluster: one computed, one waiting."""
SLIDES_PER_WORKER = 2
CONNECT_S = 20


@dataclass(frozen=True)
class BlockJob:
    """What a worker must know to compute blocks of a slide; the same for all of them."""

    path: str
    fingerprint: str
    mpp: float
    threshold: float
    min_distance_um: float | None
    model: str
    weights: str
    classifier: str | None
    classifier_weights: str | None
    device: str
    runtime: str
    classifier_runtime: str | None
    scores: bool
    threads: int | None


@contextmanager
def connected(scheduler: str | None = None, *, local: int | None = None) -> Iterator[Any]:
    """A client of the scheduler at an address, or of so many worker processes on this machine.

    Raises
    ------
    ConfigError
        Where neither or both are given, dask is not installed, or nobody answers.
    """
    if (scheduler is None) == (local is None):
        raise ConfigError(
            "Say where to compute: --scheduler ADDRESS of a running dask scheduler, or --local N "
            "worker processes on this machine."
        )
    distributed = _distributed()
    if local is not None:
        if local < 1:
            raise ConfigError(f"At least one worker is needed, got {local}.")
        with (
            distributed.LocalCluster(
                n_workers=local, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"No dask scheduler answers at {scheduler} ({error}). Start one with "
            "`dask scheduler`, and give the address that it prints."
        ) from error
    with client:
        yield client


def compute_on(
    client: Any,
    *,
    model: str,
    classifier: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Compute:
    """What computes the blocks of `iter_slide` on a cluster.

    Parameters
    ----------
    client : distributed.Client
    model, classifier : str
        Names of shipped models, or folders that every worker sees at the same path.
    device : str
        Of the workers.
    threads : int, optional
        Threads of the network in each worker; default torch's own choice.
    """

    def compute(
        slide: PreparedSlide, blocks: list[Block]
    ) -> Generator[TileDone | BlockResult, None, None]:
        if blocks:
            job = _job(slide, model, classifier, device, threads)
            yield from _in_any_order(client, job, blocks)

    return compute


def compute_block(job: BlockJob, block: Block) -> BlockResult:
    """The task: one block; runs on a worker.

    Raises
    ------
    ImageError, ModelError
        Where the worker sees another slide or another model than who asked.
    """
    model = _model_of(job)
    results = compute_blocks(model, [block], readers=1, ahead=2, scores=job.scores)
    (result,) = (event for event in results if isinstance(event, BlockResult))
    return result


_OPENING = Lock()


def _model_of(job: BlockJob) -> SlideModel:
    with _OPENING:
        return _open(job)


@lru_cache(maxsize=SLIDES_PER_WORKER)
def _open(job: BlockJob) -> SlideModel:
    import torch

    if job.threads is not None:
        torch.set_num_threads(job.threads)
    if slide_fingerprint(job.path) != job.fingerprint:
        raise ImageError(
            f"A worker finds another slide at {job.path} than was asked for. All machines must see "
            "the same file at the same path."
        )
    detector = load_detector(job.model, device=job.device)
    classifier = load_classifier(job.classifier, device=job.device) if job.classifier else None
    for there, weights in ((detector, job.weights), (classifier, job.classifier_weights)):
        if there is not None and there.card.weights_sha256 != weights:
            raise ModelError(
                f"A worker has another {there.card.name} than was asked for. Install the same "
                "version of napari-nucbudget on all machines."
            )
    if classifier is not None:
        classifier = classifier.with_runtime(job.classifier_runtime)
    return SlideModel.of(
        open_image(Path(job.path), mpp=job.mpp),
        detector.with_runtime(job.runtime),
        mpp=job.mpp,
        threshold=job.threshold,
        min_distance_um=job.min_distance_um,
        classifier=classifier,
    )


def _job(
    slide: PreparedSlide, model: str, classifier: str | None, device: str, threads: int | None
) -> BlockJob:
    there = slide.model.classifier
    return BlockJob(
        path=str(slide.path.resolve()),
        fingerprint=str(slide.run.facts["slide"]["fingerprint"]),
        mpp=slide.model.mpp,
        threshold=slide.model.threshold,
        min_distance_um=slide.settings.min_distance_um,
        model=_same_everywhere(model),
        weights=slide.model.detector.card.weights_sha256,
        classifier=None if classifier is None else _same_everywhere(classifier),
        classifier_weights=None if there is None else there.card.weights_sha256,
        device=device,
        runtime=slide.model.detector.runtime_name,
        classifier_runtime=None if there is None else there.runtime_name,
        scores=slide.settings.scores,
        threads=threads,
    )


def _same_everywhere(model: str) -> str:
    """A folder by its full path, since workers have a working directory of their own."""
    return str(Path(model).resolve()) if os.sep in model or Path(model).is_dir() else model


def _distributed() -> Any:
    """dask.distributed, which has no types.

    Raises
    ------
    ConfigError
        Where it is not installed.
    """
    try:
        return import_module("distributed")
    except ImportError as error:
        raise ConfigError(
            'Clusters need dask.distributed: pip install "napari-nucbudget[cluster]".'
        ) from error


def _in_any_order(
    client: Any, job: BlockJob, blocks: list[Block]
) -> Generator[TileDone | BlockResult, None, None]:
    distributed = _distributed()
    closed = import_module("distributed.comm").CommClosedError
    area = {block.number: block.area for block in blocks}
    left = iter(blocks)

    def submit(block: Block) -> Any:
        return client.submit(compute_block, job, block, pure=False)

    threads = sum(client.nthreads().values())
    first = [submit(block) for block in islice(left, max(1, TASKS_PER_THREAD * threads))]
    running = distributed.as_completed(first)
    try:
        for future in running:
            result: BlockResult = future.result()
            future.release()
            following = next(left, None)
            if following is not None:
                running.add(submit(following))
            yield TileDone(area[result.number])
            yield result
    except distributed.KilledWorker as error:
        raise DeviceError(
            f"Several workers died over the same part of {job.path}, probably for want of memory. "
            "What is done is kept: give the workers more memory, and the same command again."
        ) from error
    except (closed, CancelledError, TimeoutError) as error:
        raise DeviceError(
            f"The scheduler is gone ({type(error).__name__}). What is done is kept: start it, and "
            "give the same command again."
        ) from error
    finally:
        client.cancel(list(running.futures))
