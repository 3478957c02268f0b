"""Training in a process of its own: it can be stopped at once, and cannot take napari down.

The process is the command line itself (``python -m napari_nucbudget train ... --background``),
so that a copied command gives the same weights, and so that nothing of napari's is imported
into it anew. Pausing ends it: what it had by the last epoch is on disk, and it goes on from
there to the weights that it would have had.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import deque
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.run_folder import RunFolder
from napari_nucbudget.models.device import tells_out_of_memory
from napari_nucbudget.models.library import load_card
from napari_nucbudget.types.training import EpochReport

__all__ = ["LOG", "TrainingProcess", "can_go_on", "has_model", "reports_of"]

LOG = "reports.jsonl"
"""Reports of all epochs, so that a curve is there again after a restart."""
STATE = "state.safetensors"
KILL_MS = 3000
LINES = 30


class TrainingProcess(QObject):
    """One training at a time; `ended` follows each `start`, with "done", "stopped" or "failed".

    Attributes
    ----------
    error : TrainingError or None
        Why the last run failed, in words.
    """

    reported = Signal(object)
    """An `EpochReport`."""
    ended = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: RunFolder | None = None
        self.error: TrainingError | None = None
        self._process: QProcess | None = None
        self._last: deque[str] = deque(maxlen=LINES)
        self._rest = b""

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """Number of the process; 0 where none runs."""
        return int(self._process.processId()) if self._process is not None else 0

    def start(self, run: RunFolder) -> None:
        """Train; goes on with a run that was stopped or cut off."""
        self.stop()
        self.run, self.error, self._rest = run, None, b""
        self._last.clear()
        more = ["--background", "--json"]
        if (run.model / STATE).exists():
            more.append("--resume")
        elif run.model.exists():  # ended before its first state was whole: nothing to go on with
            shutil.rmtree(run.model)
            (run.folder / LOG).unlink(missing_ok=True)
        process = self._process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._listen)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._failed_to_start)
        process.start(sys.executable, ["-m", "napari_nucbudget", *run.arguments, *more])

    def stop(self) -> None:
        """End the process at once; the best weights so far and the state are on disk."""
        process = self._process
        if process is not None:
            process.finished.disconnect(self._finished)
            process.kill()
            process.waitForFinished(KILL_MS)
            self._read()  # what was said before the end
            process.finished.connect(self._finished)
            self._forget()
            process.deleteLater()
            self.ended.emit("stopped")

    def _forget(self) -> QProcess | None:
        process, self._process = self._process, None
        if process is not None:
            for signal, slot in (
                (process.readyReadStandardOutput, self._read),
                (process.readyReadStandardError, self._listen),
                (process.finished, self._finished),
                (process.errorOccurred, self._failed_to_start),
            ):
                signal.disconnect(slot)
        return process

    def _read(self) -> None:
        assert self._process is not None
        assert self.run is not None
        *lines, self._rest = (self._rest + bytes(self._process.readAllStandardOutput())).split(
            b"\n"
        )
        for line in lines:
            values = _json(line)
            if values is not None and "epoch" in values:
                with (self.run.folder / LOG).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(values) + "\n")
                self.reported.emit(EpochReport(**values))

    def _listen(self) -> None:
        assert self._process is not None
        text = bytes(self._process.readAllStandardError()).decode(errors="replace")
        self._last.extend(line for line in text.splitlines() if line.strip())

    def _finished(self, code: int, status: Any) -> None:
        self._listen()
        self._read()
        process = self._forget()
        assert process is not None
        process.deleteLater()
        if status == QProcess.ExitStatus.NormalExit and code == 0:
            self.ended.emit("done")
            return
        killed = status == QProcess.ExitStatus.CrashExit
        self.error = TrainingError(self._in_words(code, killed))
        self.ended.emit("failed")

    def _failed_to_start(self, error: Any) -> None:
        if error == QProcess.ProcessError.FailedToStart and (process := self._forget()):
            self.error = TrainingError(f"Training could not start: {process.errorString()}.")
            process.deleteLater()
            self.ended.emit("failed")

    def _in_words(self, code: int, killed: bool) -> str:
        said = "\n".join(self._last)
        if killed or code in (-9, 137):
            why = f"The training was ended from outside (signal {code}). Often memory ran out."
        elif tells_out_of_memory(said):
            why = "Memory ran out while training. Close other programs, or train on the processor."
        elif self._last and self._last[-1].startswith("nucbudget: "):
            why = self._last[-1].removeprefix("nucbudget: ")
        else:
            last = self._last[-1] if self._last else f"exit code {code}"
            why = f"Training ended unexpectedly: {last}."
        assert self.run is not None
        kept = " The best weights so far are kept." if has_model(self.run.model) else ""
        return why + kept


def can_go_on(run: RunFolder) -> bool:
    """Whether a run that ended has left the state from which it can be continued."""
    return (run.model / STATE).is_file()


def has_model(folder: Path) -> bool:
    """Whether a run has left a model that can be used."""
    return (folder / "card.json").is_file() and bool(load_card(folder).weights_sha256)


def reports_of(run: RunFolder) -> list[EpochReport]:
    """Reports of a run so far, each epoch once, as it was reported last."""
    path = run.folder / LOG
    if not path.is_file():
        return []
    found: dict[int, EpochReport] = {}
    for line in path.read_bytes().splitlines():
        values = _json(line)
        if values is not None:
            found[values["epoch"]] = EpochReport(**values)
    return [found[epoch] for epoch in sorted(found)]


def _json(line: bytes) -> dict[str, Any] | None:
    """An object on a line; None for anything else, such as a line that was cut off."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
