"""The only place that starts threads: long work beside a window that stays usable.

A job is a generator that yields reports and returns a result. It runs in a
Python thread that never touches Qt: reports travel through a queue that a
timer of the window's own thread empties. So an object of Qt's that was deleted
meanwhile cannot be called, and every exception arrives, ``RuntimeError``
included, which superqt's generator workers lose.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.models.device import is_out_of_memory

__all__ = ["THREAD_NAME", "Job", "in_words"]

LOGGER = logging.getLogger(__name__)
THREAD_NAME = "nucbudget-job"
POLL_MS = 30
CLOSE_TIMEOUT_S = 10.0
"""How long a closing window waits for the step that is under way."""

Work = Generator[Any, None, Any]


class _Run:
    """One thread, its queue and its stop flag; knows nothing of Qt."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self.reports: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=self._work, args=(make,), name=THREAD_NAME, daemon=True
        )

    def _work(self, make: Callable[[], Work]) -> None:
        try:
            steps = make()
            try:
                while not self.stop.is_set():
                    self.reports.put(("progressed", next(steps)))
            except StopIteration as end:
                self.reports.put(("finished", end.value))
            finally:
                steps.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the window must show it
            self.reports.put(("failed", error))

    def end(self) -> None:
        """Ask the thread to stop, and wait for the step that it is in."""
        self.stop.set()
        if self.thread.is_alive():
            self.thread.join(CLOSE_TIMEOUT_S)


class Job(QObject):
    """Runs one generator at a time and reports in the window's thread.

    Exactly one of `finished`, `failed` and `cancelled` follows each `start`.

    Parameters
    ----------
    parent : QObject
        The job ends with it: when it is destroyed the thread is stopped.
    """

    progressed = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._run: _Run | None = None
        self._ending: weakref.WeakSet[_Run] = weakref.WeakSet()
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._deliver)
        runs, current = self._ending, self.__dict__
        parent.destroyed.connect(lambda: _end_all(runs, current))

    @property
    def running(self) -> bool:
        return self._run is not None

    def start(self, make: Callable[[], Work]) -> None:
        """Run the generator that `make` returns, both in the thread; ends a running one first."""
        self.cancel()
        self._run = _Run(make)
        self._run.thread.start()
        self._timer.start()

    def cancel(self) -> None:
        """Give the running work up, at once: what it still reports is not listened to.

        The thread itself ends after the step that it is in.
        """
        run = self._forget()
        if run is not None:
            run.stop.set()
            self._ending.add(run)
            self.cancelled.emit()

    def close(self) -> None:
        """Stop and wait until nothing runs any more."""
        self.cancel()
        _end_all(self._ending, {})

    def _forget(self) -> _Run | None:
        run, self._run = self._run, None
        self._timer.stop()
        return run

    def _deliver(self) -> None:
        run = self._run
        latest: Any = None
        while run is not None and run is self._run:
            try:
                kind, value = run.reports.get_nowait()
            except queue.Empty:
                break
            if kind == "progressed":
                latest = value  # of several reports between two polls the last one is enough
                continue
            if latest is not None:
                self.progressed.emit(latest)
                latest = None
            if run is not self._run:
                return
            self._forget()
            if kind == "failed":
                expected = isinstance(value, NucbudgetError)
                level = logging.INFO if expected else logging.ERROR
                LOGGER.log(level, "A job failed.", exc_info=value)
            getattr(self, kind).emit(value)
            return
        if latest is not None:
            self.progressed.emit(latest)


def _end_all(runs: weakref.WeakSet[_Run], attributes: dict[str, Any]) -> None:
    current = attributes.get("_run")
    for run in [*runs, *([current] if current is not None else [])]:
        run.end()


def in_words(error: BaseException) -> str:
    """What a user reads of an exception: our own errors say it themselves."""
    if isinstance(error, NucbudgetError):
        return str(error)
    if is_out_of_memory(error):
        return (
            "Memory ran out. Close other programs or layers, choose a smaller region, or "
            "compute on the processor (device cpu)."
        )
    return (
        f"Something unexpected went wrong ({type(error).__name__}: {error}). "
        "The log has the details; please report them."
    )
