"""Runs that go wrong, take long, or outlive their window."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer

from napari_nucbudget.errors import DeviceError
from napari_nucbudget.ui.jobs import THREAD_NAME, Job, in_words


def job_threads():
    return [t for t in threading.enumerate() if t.name == THREAD_NAME]


def test_memory_that_runs_out_is_said_in_the_dock_without_a_traceback(dock_with_image, detector):
    dock = dock_with_image
    detector.error = MemoryError()
    dock.run()
    assert "Memory ran out" in dock.widget.error.text()
    assert "Traceback" not in dock.widget.error.text()
    assert dock.widget.detect.isEnabled()
    detector.error = None
    dock.run()
    assert dock.widget.error.text() == ""


def test_an_unexpected_runtime_error_is_shown_and_logged(dock_with_image, detector, caplog):
    detector.error = RuntimeError("kernel image is not available")
    dock_with_image.run()
    assert "kernel image is not available" in dock_with_image.widget.error.text()
    assert dock_with_image.widget.error.isVisible()
    assert any(r.exc_info for r in caplog.records if r.levelno == logging.ERROR)


def test_an_unknown_model_folder_is_said_in_the_dock(dock, tmp_path):
    dock.widget.form.add_model(tmp_path)
    assert "is not a model folder" in dock.widget.error.text()


def test_the_window_answers_while_a_run_computes(dock_with_image, detector, monkeypatch):
    dock = dock_with_image
    monkeypatch.setattr(detector, "dense_tile", 64)

    square = np.ones((400, 400))

    def busy(rgb):
        end = time.perf_counter() + 0.1
        while time.perf_counter() < end:  # like a network: long products, a little Python between
            square @ square
            sum(range(2000))
        return np.zeros(rgb.shape[:2], np.float32)

    detector.proximity = busy
    ticks = []

    def tick():
        if dock.widget.job.running:  # drawing the points afterwards is napari's own time
            ticks.append(time.perf_counter())

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(20)
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    timer.stop()
    assert len(ticks) > 5
    assert max(np.diff(ticks)) < 0.5


def test_progress_shows_how_much_is_done_and_how_many_were_found(dock_with_image, detector):
    dock = dock_with_image
    seen = []
    dock.widget.job.progressed.connect(
        lambda _: seen.append((dock.widget.bar.text(), dock.widget.status.text()))
    )
    detector.gate.clear()
    dock.click(dock.widget.detect)
    dock.wait(detector.entered.is_set)
    assert dock.widget.bar.isVisible()
    detector.gate.set()
    dock.wait(lambda: not dock.widget.job.running)
    assert any("nuclei so far" in text for _, text in seen)
    assert not dock.widget.bar.isVisible()
    assert "Done in" in dock.widget.status.text()


def test_closing_the_dock_ends_the_run(dock_with_image, detector):
    dock = dock_with_image
    detector.gate.clear()
    dock.click(dock.widget.detect)
    dock.wait(detector.entered.is_set)
    threading.Timer(0.2, detector.gate.set).start()
    dock.viewer.window.remove_dock_widget(dock.widget)
    assert not job_threads()
    assert not dock.widget.job.running
    dock.viewer.add_image(np.zeros((40, 40, 3), np.uint8), name="later")
    assert dock.widget.form.image.current is None


def test_closing_the_viewer_ends_the_run(dock_with_image, detector):
    dock = dock_with_image
    detector.gate.clear()
    dock.click(dock.widget.detect)
    dock.wait(detector.entered.is_set)
    threading.Timer(0.2, detector.gate.set).start()
    dock.viewer.close()
    dock.wait(lambda: not job_threads())


@pytest.fixture
def job(qtbot):
    from qtpy.QtWidgets import QWidget

    parent = QWidget()
    qtbot.addWidget(parent)
    yield Job(parent)
    parent.close()


def test_a_job_hands_over_what_its_generator_returns(job, qtbot):
    def work():
        yield 1
        return "result"

    with qtbot.waitSignal(job.finished, timeout=5000) as caught:
        job.start(work)
    assert caught.args == ["result"]
    assert not job.running


@pytest.mark.parametrize("error", [RuntimeError("lost by superqt"), DeviceError("No device.")])
def test_a_job_reports_every_exception(job, qtbot, error):
    def work():
        yield 1
        raise error

    with qtbot.waitSignal(job.failed, timeout=5000) as caught:
        job.start(work)
    assert caught.args == [error]


def test_a_cancelled_job_says_nothing_more_and_runs_its_cleanup(job, qtbot):
    gate, cleaned = threading.Event(), threading.Event()
    told = []

    def work():
        try:
            yield 1
            assert gate.wait(30)
            yield 2
        finally:
            cleaned.set()

    job.progressed.connect(told.append)
    job.finished.connect(told.append)
    job.failed.connect(told.append)
    with qtbot.waitSignal(job.progressed, timeout=5000):
        job.start(work)
    with qtbot.waitSignal(job.cancelled, timeout=1000):
        job.cancel()
    gate.set()
    qtbot.waitUntil(cleaned.is_set, timeout=5000)
    job.close()
    assert told == [1]
    assert not job_threads()


def test_words_for_an_error_of_ours_are_its_own():
    assert in_words(DeviceError("No device.")) == "No device."
    assert "out of memory" not in in_words(RuntimeError("CUDA out of memory"))
    assert "Memory ran out" in in_words(RuntimeError("CUDA out of memory"))
    assert "ValueError: odd" in in_words(ValueError("odd"))


def test_arrow_keys_move_the_threshold_of_the_histogram(dock_with_image):
    result = dock_with_image.widget.result
    result.threshold.setValue(0.5)
    result.histogram.setFocus()
    dock_with_image.qtbot.keyClick(result.histogram, Qt.Key.Key_Right)
    assert result.threshold.value() == 0.51
    dock_with_image.qtbot.keyClick(result.histogram, Qt.Key.Key_PageDown)
    assert result.threshold.value() == pytest.approx(0.41)
