"""How late the window answers while a model is trained: run it under ``xvfb-run -a``.

A timer of 5 ms counts how long the event loop was busy with anything else: on the clock, where
the training and all other programs count too, and in processor time of the window's thread.
The drawn sample, the real dock and its real child process are used. First nothing is trained,
then a classifier is while the curves grow, then a person labels a nucleus four times a second
beside it, and last *Cancel* is pressed: from the click until the process is gone and the dock
offers what it left.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Neither settings nor projects nor models of the person who runs this are used or changed.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="nucbudget-")
os.environ["NAPARI_CONFIG"] = str(Path(os.environ["XDG_DATA_HOME"]) / "settings.yaml")

import numpy as np
from napari import Viewer
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest

from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.samples.locate import sample_path
from napari_nucbudget.types.image import Region
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.train_widget import TrainWidget

TICK_MS = 5
LABEL_EVERY_MS = 250
STEPS = 1_000
"""So many that a training is not over before it is cancelled."""
FIELD = Region(300, 300, 500, 700)


class Lateness:
    """Notes how long the event loop was busy between two ticks."""

    def __init__(self) -> None:
        self.late: dict[str, list[tuple[float, float]]] = {}
        self._phase = ""
        self._last = (0.0, 0.0)
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def phase(self, name: str) -> None:
        """What comes from now on counts under this name."""
        self._tick()
        self._phase = name
        self.late[name] = []
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter(), time.thread_time()
        clock, busy = now[0] - self._last[0], now[1] - self._last[1]
        if self._phase:
            self.late[self._phase].append((max(0.0, clock * 1000 - TICK_MS), busy * 1000))
        self._last = now

    def table(self) -> str:
        """Longest block and 99th percentile of each phase, milliseconds."""
        names = ("longest", "99 %", "longest, CPU", "99 %, CPU", "ticks")
        lines = [f"{'milliseconds':34}" + "".join(f"{name:>14}" for name in names)]
        for phase, late in self.late.items():
            clock, busy = np.array(late).T
            values = clock.max(), np.percentile(clock, 99), busy.max(), np.percentile(busy, 99)
            cells = "".join(f"{value:14.0f}" for value in values)
            lines.append(f"{phase:34}{cells}{len(late):14,}")
        return "\n".join(lines)


def wait_for(condition: Callable[[], bool], timeout_s: float = 300) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happened for {timeout_s:.0f} s.")
        QTest.qWait(20)


def opened() -> tuple[Session, int, TrainWidget]:
    """The sample with nuclei of each class, and the dock beside it."""
    viewer = Viewer(show=True)
    viewer.window.resize(1600, 1000)
    viewer.open_sample("napari-nucbudget", "drawn_biopsy")
    session = Session.of(viewer)
    image = session.ensure()
    assert image is not None
    (truth,) = read_points(sample_path("drawn_biopsy.truth.csv"))
    drawn = truth.nuclei.select(FIELD.contains(truth.nuclei.yx))
    for label, name in enumerate(drawn.classes.names):
        some = drawn.yx[drawn.label == label]
        session.edit(lambda store, some=some, name=name: store.add(image, some, name))  # type: ignore[misc]
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Teach nuclei")
    viewer.reset_view()
    viewer.scene.camera.zoom *= 3
    dock.form.what.setCurrentText("type nuclei")
    dock.form.steps.setValue(STEPS)
    wait_for(dock.train.isEnabled)
    return session, image, dock


def cancelled(dock: TrainWidget) -> float:
    """Seconds from the click until nothing trains and the dock is ready for the next training."""
    started = time.perf_counter()
    QTest.mouseClick(dock.cancel, Qt.MouseButton.LeftButton)
    wait_for(lambda: not dock.process.running and dock.train.isEnabled())
    return time.perf_counter() - started


def train_until_reported(dock: TrainWidget) -> None:
    QTest.mouseClick(dock.train, Qt.MouseButton.LeftButton)
    wait_for(lambda: dock.process.running or bool(dock.error.text()))
    wait_for(lambda: dock.status.text().startswith("Step") or bool(dock.error.text()))
    if dock.error.text():
        raise SystemExit(f"The training failed: {dock.error.text()}")


def label(session: Session, image: int, seconds: float) -> None:
    """Give nuclei of the field another class, one after the other."""
    store = session.store
    assert store is not None
    ids, names = store.nuclei(image).id, store.classes.names
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end:
        one, name = ids[turn % len(ids)], names[turn % len(names)]
        session.edit(lambda store, one=one, name=name: store.relabel([one], name))  # type: ignore[misc]
        turn += 1
        QTest.qWait(LABEL_EVERY_MS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15, help="of training, and of labelling")
    parser.add_argument("--cancels", type=int, default=3)
    given = parser.parse_args()
    session, image, dock = opened()
    lateness = Lateness()
    QTest.qWait(2000)
    lateness.phase("nothing trains")
    QTest.qWait(5000)
    lateness.phase("training starts")
    train_until_reported(dock)
    lateness.phase("training")
    QTest.qWait(int(given.seconds * 1000))
    lateness.phase("training, labelling beside it")
    label(session, image, given.seconds)
    if not dock.process.running:
        raise SystemExit("The training was over too early: give fewer --seconds.")
    lateness.phase("cancel")
    taken = [cancelled(dock)]
    QTest.qWait(1000)
    print(lateness.table(), flush=True)
    for _ in range(given.cancels - 1):
        train_until_reported(dock)
        taken.append(cancelled(dock))
    told = ", ".join(f"{seconds:.2f}" for seconds in taken)
    print(f"cancelled within {told} s")
    session.close()
    session.viewer.close()


if __name__ == "__main__":
    main()
