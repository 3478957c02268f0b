"""Slides on many machines: dask.distributed computes blocks, one process keeps them.

A task is a block of a slide, some seconds of work, and depends on nothing but
the slide and its arguments: where a worker dies, the scheduler gives its
blocks to others. Workers need the slide and the model at the same path; only
the process that asks writes results, into the same folder and in the same way
as a single machine does, so that either may go on with what the other began.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from pkgutil import resolve_name
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import napari_nucbudget
from napari_nucbudget.errors import (
    ConfigError,
    DeviceError,
    ImageError,
    ModelError,
    NucbudgetError,
    UnknownNameError,
)
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
from napari_nucbudget.models.library import load_classifier, load_detector, model_folder

__all__ = ["BlockJob", "compute_block", "compute_on", "connected"]

log = logging.getLogger(__name__)

TASKS_PER_THREAD = 2
"""Blocks that are handed out per thread of the cluster: one computed, one waiting."""
SLIDES_PER_WORKER = 2
CONNECT_S = 20
LOOK_S = 3.0
"""Seconds between looks at the workers, which may join and leave at any time."""
SAME_SLIDE = "All machines must see the same file at the same path."
SAME_MODEL = (
    "All machines need the same model: keep it on each under the same name, or give a folder that "
    "all see at the same path."
)


@dataclass(frozen=True)
class BlockJob:
    """What a worker must know to compute blocks of a slide; the same for all of them."""

    version: str
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
        # CRITICAL: what a worker meets comes as an error, and its traceback of the end says nothing
        with (
            distributed.LocalCluster(
                n_workers=local,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs="CRITICAL",
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        with ThreadPoolExecutor(1) as aside:  # a notebook has an event loop of its own
            aside.submit(asyncio.run, _knock(scheduler)).result()
        client = distributed.Client(scheduler, timeout=CONNECT_S)
    except Exception as error:  # a server of another kind may say anything
        if isinstance(error, TypeError) and str(scheduler).startswith(("tls:", "wss:")):
            raise ConfigError(
                f"{scheduler} asks for TLS, and dask knows no certificates for it. Name them in "
                "dask's configuration (distributed.comm.tls), or give the address tcp://... of a "
                "scheduler without TLS."
            ) from error
        known = isinstance(error, OSError | ValueError)
        reason = str(error) if known else "something else does"
        raise ConfigError(
            f"No dask scheduler answers at {scheduler} ({reason or f'silent for {CONNECT_S} s'}). "
            "Start one with `dask scheduler`, and give the address that it prints after "
            '"Scheduler at".'
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
        Names of models that every worker has, or folders that all see at the same path.
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
    ConfigError, ImageError, ModelError
        Where the worker has another version, slide or model than who asked. Any error of ours
        names the worker.
    """
    here = str(_distributed().get_worker().address)
    _check_version(napari_nucbudget.__version__, job.version, here)
    try:
        model = _model_of(job)
        results = compute_blocks(model, [block], readers=1, ahead=2, scores=job.scores)
        (result,) = (event for event in results if isinstance(event, BlockResult))
    except NucbudgetError as error:
        raise type(error)(f"On the worker {here}: {error}") from error
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
    try:
        fingerprint = slide_fingerprint(job.path)
    except ImageError as error:
        raise ImageError(f"{error} {SAME_SLIDE}") from error
    if fingerprint != job.fingerprint:
        raise ImageError(f"{job.path} is another slide than was asked for. {SAME_SLIDE}")
    try:
        detector = load_detector(job.model, device=job.device)
        classifier = load_classifier(job.classifier, device=job.device) if job.classifier else None
    except (ModelError, UnknownNameError) as error:
        raise ModelError(f"{error} {SAME_MODEL}") from error
    for name, there, weights in (
        (job.model, detector, job.weights),
        (job.classifier, classifier, job.classifier_weights),
    ):
        if there is not None and there.card.weights_sha256 != weights:
            raise ModelError(f"{name} is another model than was asked for. {SAME_MODEL}")
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
        version=napari_nucbudget.__version__,
        path=str(slide.path.resolve()),
        fingerprint=slide_fingerprint(slide.path),
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
    folder = model_folder(model)
    return str(folder.resolve()) if folder == Path(model).expanduser() else model


def _check_version(there: Any, wanted: str, worker: str) -> None:
    if there != wanted:
        found = f"napari-nucbudget {there}" if isinstance(there, str) else f"none ({there})"
        raise ConfigError(
            f"napari-nucbudget {wanted} is needed on the worker {worker}, which has {found}. "
            "Install the same version on all machines, and start the workers again."
        )


async def _knock(scheduler: str | None) -> None:
    """Speak with a scheduler for a moment: a client waits for ever for one that does not answer."""
    arguments = _distributed().Security().get_connection_args("client")
    connect = import_module("distributed.comm").connect
    comm = await asyncio.wait_for(connect(scheduler, timeout=CONNECT_S, **arguments), CONNECT_S)
    await comm.close()


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


class _Crew:
    """The workers of a cluster, looked at every few seconds."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._threads: int | None = None
        self._looked = 0.0
        self._told = False
        self._checked: set[str] = set()

    def threads(self) -> int:
        """How many threads compute now; where there are none for a while, it is said.

        Raises
        ------
        ConfigError
            Where a worker has another version.
        DeviceError
            Where the scheduler is gone.
        """
        if self._threads is not None and time.monotonic() - self._looked < LOOK_S:
            return self._threads
        try:
            there: dict[str, int] = self._client.nthreads()
            self._check(there.keys() - self._checked)
        except OSError as error:
            raise _gone(error) from error
        if there:
            self._told = False
        elif self._threads == 0 and not self._told:
            self._told = True
            address = self._client.scheduler.address
            log.warning(
                "The scheduler at %s has no workers. Waiting for some: start them with "
                "`dask worker %s --nthreads 1`.",
                address,
                address,
            )
        self._threads, self._looked = sum(there.values()), time.monotonic()
        return self._threads

    def _check(self, workers: set[str]) -> None:
        """Ask for versions with what every Python has, so that older workers answer, too."""
        if not workers:
            return
        versions = self._client.run(
            resolve_name, "napari_nucbudget:__version__", workers=list(workers), on_error="return"
        )
        for worker, version in versions.items():
            if not isinstance(version, OSError):  # it left meanwhile
                _check_version(version, napari_nucbudget.__version__, worker)
                self._checked.add(worker)


def _gone(error: BaseException) -> DeviceError:
    return DeviceError(
        f"The scheduler is gone ({type(error).__name__}). What is done is kept: start it and the "
        "workers, which end with it, and give the same command again."
    )


def _in_any_order(
    client: Any, job: BlockJob, blocks: list[Block]
) -> Generator[TileDone | BlockResult, None, None]:
    distributed = _distributed()
    closed = import_module("distributed.comm").CommClosedError
    area = {block.number: block.area for block in blocks}
    left = iter(blocks)
    crew = _Crew(client)
    running: set[Any] = set()
    ended: SimpleQueue[Any] = SimpleQueue()

    def hand_out() -> None:
        wanted = max(1, TASKS_PER_THREAD * crew.threads())
        for block in islice(left, max(0, wanted - len(running))):
            future = client.submit(compute_block, job, block, pure=False)
            running.add(future)
            future.add_done_callback(ended.put)

    try:
        hand_out()
        while running:
            try:
                future = ended.get(timeout=LOOK_S)
            except Empty:
                hand_out()
                continue
            running.remove(future)
            result: BlockResult = future.result()
            future.release()
            hand_out()
            yield TileDone(area[result.number])
            yield result
    except distributed.KilledWorker as error:
        raise DeviceError(
            f"Several workers died over the same part of {job.path}, probably for want of memory. "
            "What is done is kept: give the workers more memory, and the same command again."
        ) from error
    except (closed, CancelledError, TimeoutError) as error:
        raise _gone(error) from error
    finally:
        client.cancel(list(running))
