"""The workbench from an image to files and back, by mouse and keys, on the drawn sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari._app_model import get_app_model
from qtpy.QtCore import QPoint, Qt

from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.ui.annotate_widget import AnnotateWidget
from napari_nucbudget.ui.detect_widget import DetectWidget
from napari_nucbudget.ui.export_widget import ExportWidget
from napari_nucbudget.ui.workbench import WorkbenchWidget, dock_titles

COMMAND = "napari-nucbudget.workbench"
"""What the menus Plugins and Layers > Annotate run."""
CLASS_KEYS = (Qt.Key.Key_Q, Qt.Key.Key_W, Qt.Key.Key_E)
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LABELS = 40


class Person:
    """Does to one window what a person does."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.window = viewer.window._qt_window
        self.canvas = self.window._qt_viewer.canvas.native
        viewer.window.resize(1280, 800)
        viewer.open_sample("napari-nucbudget", "drawn_biopsy")
        get_app_model().commands.execute_command(COMMAND)
        self.wait(lambda: self.window.findChildren(ExportWidget))
        self.bench = self.find(WorkbenchWidget)
        self.session = self.bench.session

    def find(self, kind):
        (widget,) = self.window.findChildren(kind)
        return widget

    def wait(self, condition, timeout=60_000):
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=timeout)

    def click(self, button):
        assert button.isVisible()
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def go_to(self, word):
        """F5 shows the first dock, F6 the second ..."""
        key = Qt.Key(Qt.Key.Key_F5.value + list(dock_titles()).index(word))
        with self.qtbot.waitActive(self.window):
            self.window.activateWindow()
        self.qtbot.keyClick(self.window, key)

    def press(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        self.canvas.setFocus()
        self.qtbot.keyClick(self.canvas, key, modifier)
        self.qtbot.wait(20)

    def says(self, words):
        self.wait(lambda: words in self.bench.line.text())

    @property
    def human(self):
        return self.session.store.nuclei(self.session.image, which="human")

    @property
    def open(self):
        return self.session.store.proposals(self.session.image)


def detect(person):
    person.says("Detect the nuclei in what is on screen")
    person.viewer.scene.camera.zoom *= 5
    dock = person.find(DetectWidget)
    person.click(dock.detect)
    person.wait(lambda: not dock.job.running, 240_000)
    assert dock.error.text() == ""
    person.click(dock.kept.keep)
    person.wait(lambda: person.session.store is not None and not dock.typing_job.running, 120_000)
    person.wait(lambda: len(person.open) > LABELS)


def correct_and_label(person):
    person.says("Accept or correct proposals")
    person.click(person.bench.go)
    dock = person.find(AnnotateWidget)
    person.wait(dock.isVisible)
    person.press(Qt.Key.Key_N)
    person.press(Qt.Key.Key_J)
    assert len(person.human) == 0
    for key, _ in zip(itertools.cycle(CLASS_KEYS), range(LABELS), strict=False):
        before = len(person.human)
        person.press(key)
        person.wait(lambda before=before: len(person.human) == before + 1)
        person.wait(lambda: len(person.session.views.of().selected) == 1)
    person.press(Qt.Key.Key_Z, CTRL)
    assert len(person.human) == LABELS - 1
    person.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert len(person.human) == LABELS
    person.press(Qt.Key.Key_P)
    middle = QPoint(person.canvas.width() // 2 + 40, person.canvas.height() // 2 + 40)
    person.qtbot.mouseClick(person.canvas, Qt.MouseButton.LeftButton, pos=middle)
    person.wait(lambda: len(person.human) == LABELS + 1)
    person.press(Qt.Key.Key_Z, CTRL)
    person.press(Qt.Key.Key_K, SHIFT)
    dock.tabs.setCurrentWidget(dock.fields)
    person.click(dock.fields.declare_view)
    assert len(person.session.store.fields(person.session.image)) == 1


def export(person, folder):
    person.go_to("Export")
    dock = person.find(ExportWidget)
    person.wait(dock.isVisible)
    out = dock.out
    for kind, name in (("geojson", "all.nuclei.geojson"), ("label-set", "labels")):
        out.format.setFocus()
        out.format.setCurrentIndex(out.format.findData(kind))
        out.path.selectAll()
        person.qtbot.keyClicks(out.path, str(folder / name))
        person.click(out.export)
        person.wait(lambda: not out.job.running)
        assert dock.error.text() == ""
        assert "written" in out.status.text()


@pytest.mark.timeout(900)
def test_the_loop_by_mouse_and_keys_survives_closing_the_window(
    make_napari_viewer, qtbot, tmp_path
):
    person = Person(make_napari_viewer(show=True), qtbot)
    detect(person)
    correct_and_label(person)
    export(person, tmp_path)
    store, image = person.session.store, person.session.image
    sent, fields, step = store.nuclei(image), store.fields(image), store.undo_label
    counts = store.counts(image)
    (back,) = read_points(tmp_path / "all.nuclei.geojson")
    order = np.argsort(back.nuclei.id)
    np.testing.assert_array_equal(back.nuclei.id[order], np.sort(sent.id))
    np.testing.assert_array_equal(back.nuclei.yx[order], sent.yx[np.argsort(sent.id)])
    assert read_label_set(tmp_path / "labels").nuclei_count == len(person.human)
    person.viewer.close()
    qtbot.wait(200)

    again = Person(make_napari_viewer(show=True), qtbot)
    again.wait(lambda: again.session.store is not None)
    store, image = again.session.store, again.session.image
    np.testing.assert_array_equal(store.nuclei(image).id, sent.id)
    np.testing.assert_array_equal(store.nuclei(image).label, sent.label)
    np.testing.assert_array_equal(store.nuclei(image).origin, sent.origin)
    assert store.counts(image) == counts
    assert [field.region for field in store.fields(image)] == [field.region for field in fields]
    assert store.undo_label == step
    again.session.close()
