"""The workbench from an image to a checked model and back, by mouse and keys, on the sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.models.library import load_card
from napari_nucbudget.project import Records
from napari_nucbudget.ui.annotate_widget import AnnotateWidget
from napari_nucbudget.ui.check_widget import CheckWidget
from napari_nucbudget.ui.detect_widget import DetectWidget
from napari_nucbudget.ui.export_widget import ExportWidget
from napari_nucbudget.ui.train_form import LADDER
from napari_nucbudget.ui.train_widget import TrainWidget
from tests.ui.person import CTRL, SHIFT, Person

CLASS_KEYS = (Qt.Key.Key_Q, Qt.Key.Key_W, Qt.Key.Key_E)
LABELS, STEPS = 42, 3
"""14 of each class, which the line above the canvas asks for; steps of a short training."""
SLOW = 400_000
"""Importing torch on a busy machine, then working."""


def open_sample(person):
    person.menu("File", "Open Sample", "Nuclei on a budget", "Drawn colon biopsy")
    person.wait(lambda: len(person.viewer.layers) == 2)
    person.menu("Plugins", "Nuclei on a budget", "Open nucbudget workbench")
    person.wait(lambda: person.window.findChildren(ExportWidget))


def detect(person):
    person.says("Detect the nuclei in what is on screen")
    person.wheel(12)
    dock = person.find(DetectWidget)
    person.click(dock.detect)
    person.wait(lambda: not dock.job.running, SLOW)
    assert dock.error.text() == ""
    person.click(dock.kept.keep)
    person.wait(lambda: person.session.store is not None and not dock.typing_job.running, SLOW)
    person.wait(lambda: len(person.nuclei("proposed")) > LABELS)


def label(person):
    """42 proposals by keys, after one was rejected."""
    person.says("Accept or correct proposals")
    person.click(person.bench.go)
    dock = person.find(AnnotateWidget)
    person.wait(dock.isVisible)
    person.press(Qt.Key.Key_N)
    person.press(Qt.Key.Key_J)
    assert len(person.nuclei("human")) == 0
    for key, _ in zip(itertools.cycle(CLASS_KEYS), range(LABELS), strict=False):
        before = len(person.nuclei("human"))
        person.press(key)
        person.wait(lambda before=before: len(person.nuclei("human")) == before + 1)
        person.wait(lambda: len(person.session.views.of().selected) == 1)
    person.press(Qt.Key.Key_Z, CTRL)
    assert len(person.nuclei("human")) == LABELS - 1
    person.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert len(person.nuclei("human")) == LABELS


def correct(person):
    """A dot is added, dragged, deleted, and all three are undone."""
    known = set(person.nuclei("human").id)
    person.press(Qt.Key.Key_P)
    at = QPoint(person.canvas.width() // 2 + 40, person.canvas.height() // 2 + 40)
    person.click_canvas(at)
    person.wait(lambda: len(person.nuclei("human")) == LABELS + 1)
    (new,) = set(person.nuclei("human").id) - known

    def dot():
        nuclei = person.nuclei("human")
        return nuclei.yx[nuclei.id == new]

    person.press(Qt.Key.Key_S)
    before = dot()[0]
    start = person.on_canvas(before)
    person.click_canvas(start)
    person.wait(lambda: person.session.views.of().selected.tolist() == [new])
    person.drag(start, start + QPoint(8, 0), start + QPoint(16, 12), start + QPoint(30, 20))
    person.wait(lambda: not np.array_equal(dot()[0], before))
    assert (person.on_canvas(dot()[0]) - start - QPoint(30, 20)).manhattanLength() <= 3
    person.wait(lambda: person.session.views.of().selected.tolist() == [new])
    person.press(Qt.Key.Key_Delete)
    person.wait(lambda: len(dot()) == 0)
    person.press(Qt.Key.Key_Z, CTRL)
    assert len(dot()) == 1
    person.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(dot()[0], before)
    person.press(Qt.Key.Key_Z, CTRL)
    assert len(person.nuclei("human")) == LABELS


def declare(person):
    """What is on screen near by becomes a field; farther out, proposals stay open."""
    dock = person.find(AnnotateWidget)
    person.press(Qt.Key.Key_K, SHIFT)
    person.tab(dock.tabs, "Fields")
    person.click(dock.fields.declare_view)
    assert len(person.session.store.fields(person.session.image)) == 1
    assert len(person.nuclei("proposed")) > 0


def train(person):
    """A short ladder to its end; another one is cancelled, and the first is still offered."""
    person.says("Fine-tune a model")
    person.click(person.bench.go)
    dock = person.find(TrainWidget)
    person.wait(dock.isVisible)
    person.pick(dock.form.what, "type nuclei")
    person.pick(dock.form.start, LADDER)
    person.type(dock.form.steps, str(STEPS))
    person.wait(lambda: dock.train.isEnabled() and not dock._later.isActive())
    person.click(dock.train)
    person.wait(lambda: dock.curves.loss.isVisible() and dock.curves.loss.lines.get("loss"), SLOW)
    person.wait(dock.outcome.isVisible, SLOW)
    assert dock.error.text() == ""
    assert set(dock.curves.loss.lines) == {"loss", "supervised", "denoising"}
    model = dock.outcome._model

    person.type(dock.form.steps, "500")
    person.wait(lambda: dock.train.isEnabled() and not dock._later.isActive())
    person.click(dock.train)
    person.wait(lambda: dock.process.running)
    person.click(dock.cancel)
    assert not dock.process.running
    person.wait(dock.outcome.isVisible)
    assert dock.outcome._model == model
    states = [run.state for run in Records(person.session.store).runs()]
    assert states == ["cancelled", "done"]
    return model


def apply(person, model):
    dock = person.find(TrainWidget)
    person.click(dock.outcome.image)
    person.wait(lambda: not dock.outcome.apply_job.running, SLOW)
    assert dock.error.text() == ""
    used = Records(person.session.store).models()[-1]
    assert used.weights_sha256 == load_card(model).weights_sha256
    assert person.session.store.undo_label.startswith("type ")


def check(person):
    person.says("Check the model in 1 field")
    person.click(person.bench.go)
    dock = person.find(CheckWidget)
    person.wait(dock.isVisible)
    assert dock.classifier.currentText() == Records(person.session.store).models()[-1].name
    person.click(dock.check)
    person.wait(lambda: not dock.job.running, SLOW)
    assert dock.error.text() == ""
    assert "precision 0." in dock.scores.text() or "precision 1." in dock.scores.text()
    assert "recall" in dock.scores.text()
    assert "weighted F1" in dock.types.text()


def export(person, folder):
    person.go_to("Export")
    dock = person.find(ExportWidget)
    person.wait(dock.isVisible)
    out = dock.out
    for kind, name in (("geojson", "all.nuclei.geojson"), ("label-set", "labels")):
        person.pick(out.format, out.format.itemText(out.format.findData(kind)))
        person.type(out.path, str(folder / name))
        person.click(out.export)
        person.wait(lambda: not out.job.running)
        assert dock.error.text() == ""
        assert "written" in out.status.text()


@pytest.mark.timeout(1800)
def test_the_loop_by_mouse_and_keys_survives_closing_the_window(
    make_napari_viewer, qtbot, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    person = Person(make_napari_viewer(show=True), qtbot)
    open_sample(person)
    detect(person)
    label(person)
    correct(person)
    declare(person)
    model = train(person)
    apply(person, model)
    check(person)
    export(person, tmp_path)
    store, image = person.session.store, person.session.image
    sent, fields, step = store.nuclei(image), store.fields(image), store.undo_label
    counts, models, runs = store.counts(image), Records(store).models(), Records(store).runs()
    human = person.nuclei("human")
    (back,) = read_points(tmp_path / "all.nuclei.geojson")
    order = np.argsort(back.nuclei.id)
    np.testing.assert_array_equal(back.nuclei.id[order], np.sort(sent.id))
    np.testing.assert_array_equal(back.nuclei.yx[order], sent.yx[np.argsort(sent.id)])
    assert read_label_set(tmp_path / "labels").nuclei_count == len(human)
    person.viewer.close()
    qtbot.wait(200)

    again = Person(make_napari_viewer(show=True), qtbot)
    open_sample(again)
    again.wait(lambda: again.session.store is not None)
    store, image = again.session.store, again.session.image
    np.testing.assert_array_equal(store.nuclei(image).id, sent.id)
    np.testing.assert_array_equal(store.nuclei(image).label, sent.label)
    np.testing.assert_array_equal(store.nuclei(image).origin, sent.origin)
    assert store.counts(image) == counts
    assert [field.region for field in store.fields(image)] == [field.region for field in fields]
    assert store.undo_label == step
    assert Records(store).models() == models
    assert Records(store).runs() == runs
    again.session.close()
