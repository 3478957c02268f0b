"""Checking in a real window, with a detector and a classifier whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_nucbudget.project import Records
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui import check_record, check_widget
from napari_nucbudget.ui.catalogue import Catalogue
from napari_nucbudget.ui.check_record import latest_check
from napari_nucbudget.ui.check_widget import CheckWidget
from napari_nucbudget.ui.session import Session

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}
FIELD = Region(0, 0, 240, 200)


class DarkIsEpithelial:
    """Gives the first class to the darkest nuclei, the second to the others."""

    def __init__(self, card):
        self.card, self.classes, self.patch = card, DEFAULT_CLASSES, 5
        self.takes_windows = False

    def probabilities(self, wide, *, average=True):
        middle = wide[:, wide.shape[1] // 2, wide.shape[2] // 2, 0]
        dark = middle < 70
        return np.stack([dark * 0.8 + 0.1, ~dark * 0.8 + 0.1, 0 * dark], 1).astype(np.float32)


@pytest.fixture
def bench(make_napari_viewer, qtbot, drawn, detector, monkeypatch):
    """Dots on the nuclei of strength 0.4 and more, and two where nothing is."""
    card = detector.card
    typing = card.model_copy(
        update={
            "name": "typing",
            "task": "classification",
            "classes": [{"name": c.name, "color": c.color} for c in DEFAULT_CLASSES.classes],
        }
    )
    cards = {"darkness": card, "typing": typing}
    catalogue = Catalogue()
    catalogue._cards, catalogue._names = cards, {name: name for name in cards}
    monkeypatch.setattr(catalogue, "refresh", lambda: None)
    monkeypatch.setattr(check_record, "load_detector", lambda name: detector)
    monkeypatch.setattr(check_record, "load_classifier", lambda name: DarkIsEpithelial(typing))
    monkeypatch.setattr(check_widget, "load_card", cards.__getitem__)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 1000)
    session = Session.of(viewer)
    viewer.add_image(drawn.rgb, name="biopsy", **UM)
    image = session.ensure()
    dock = CheckWidget(viewer, catalogue)
    viewer.window.add_dock_widget(dock, name="Check nuclei")
    bench = SimpleNamespace(viewer=viewer, session=session, image=image, dock=dock, qtbot=qtbot)
    bench.click = lambda button: qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    yield bench
    session.close()


@pytest.fixture
def checked(bench, drawn):
    session, dock = bench.session, bench.dock
    inside = FIELD.contains(drawn.yx)
    dots = drawn.yx[inside & (drawn.strength >= 0.4)]
    empty = np.array([(20.0, 20.0), (100.0, 100.0)])  # between four nuclei
    session.edit(lambda s: s.add(bench.image, dots, "epithelial"))
    session.edit(lambda s: s.add(bench.image, empty, "inflammatory"))
    session.edit(lambda s: s.add_field(bench.image, FIELD))
    dock.classifier.setCurrentText("typing")
    bench.click(dock.check)
    bench.qtbot.waitUntil(lambda: dock.check_result is not None, timeout=60_000)
    assert dock.error.text() == ""
    bench.dots, bench.drawn = len(dots), drawn
    return bench


def test_the_figures_are_those_of_the_drawn_nuclei(checked):
    dock = checked.dock
    found = int((FIELD.contains(checked.drawn.yx) & (checked.drawn.strength >= 0.5)).sum())
    scores = dock.check_result.scores(0.5)
    assert scores.nuclei == checked.dots + 2
    assert scores.precision == 1.0
    assert scores.recall == pytest.approx(found / (checked.dots + 2))
    assert f"precision {scores.precision:.3f}, recall {scores.recall:.3f}" in dock.scores.text()
    assert "one image gives no interval" in dock.scores.text()
    assert "in one image" in dock.warnings.text()


def test_dragging_the_operating_point_moves_the_threshold_and_the_errors(checked):
    dock = checked.dock
    assert dock.kind.currentText() == "missed"
    before = len(dock.walk.findings)
    last = len(dock.check_result.curve.threshold) - 1
    checked.qtbot.mouseClick(
        dock.curve, Qt.MouseButton.LeftButton, pos=dock.curve.place(last).toPoint()
    )
    checked.qtbot.waitUntil(lambda: not dock._live.isActive())
    assert dock.threshold < 0.5
    assert len(dock.walk.findings) == 2 < before
    assert f"threshold {dock.threshold:.2f}" in dock.scores.text()


def test_errors_are_walked_through_with_the_camera(checked):
    dock = checked.dock
    for _ in range(2):
        checked.click(dock.next)
        found = dock.walk.current
        centre = np.asarray(checked.viewer.scene.camera.center)[-2:]
        np.testing.assert_allclose(centre, (found.y * 0.5, found.x * 0.5), atol=0.01)
        assert checked.session.views.of().selected.tolist() == [found.nucleus]
    assert dock.found.text().startswith("2 of ")
    rings = [layer for layer in checked.viewer.layers if layer.name == "missed (biopsy)"]
    assert len(rings[0].data) == len(dock.walk.findings)


def test_a_cell_of_the_confusion_matrix_selects_its_nuclei(checked):
    table = checked.dock.confusion
    pale = table.item(0, 1)
    rect = table.visualItemRect(pale)
    checked.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    selected = checked.session.views.of().selected
    assert len(selected) == int(pale.text()) > 0
    chosen = checked.session.store.nuclei(checked.image, ids=selected)
    assert (chosen.label == 0).all()


def test_a_check_is_kept_in_the_project_and_said_until_a_field_or_a_model_is_new(checked):
    dock, store, session = checked.dock, checked.session.store, checked.session
    (noted,) = Records(store).checks()
    scores = dock.check_result.scores(0.5)
    assert (noted.detector, noted.classifier) == ("darkness", "typing")
    assert noted.figures["recall"] == scores.recall
    assert noted.figures["weighted_f1"] == dock.check_result.types().weighted_f1
    assert (noted.figures["fields"], noted.figures["dots"]) == (1, checked.dots + 2)
    assert latest_check(store) == noted
    path = store.path
    session.close_project()
    session.open(path)
    store = session.store
    assert f"darkness F1 {scores.f1:.2f}, precision 1.00" in dock.before.text()
    assert dock.before.isVisible()
    Records(store).use_model("darkness", "detection")
    assert latest_check(store) == noted
    Records(store).use_model("other", "detection")
    assert latest_check(store) is None
    Records(store).use_model("later", "detection", weights_sha256="ab")
    Records(store).note_check(dict(noted.figures), detector="again", detector_sha256="ab")
    assert latest_check(store).detector == "again"
    session.edit(lambda s: s.add_field(checked.image, Region(220, 300, 9, 9)))
    assert latest_check(store) is None


def test_a_model_trained_on_the_image_is_warned_of(checked):
    dock, store = checked.dock, checked.session.store
    run = Records(store).start_run("x/darkness", {"images": [checked.image], "parent": "other"})
    Records(store).end_run(run, "done", {"model": "x/darkness/model"})
    dock.check_result = None
    checked.click(dock.check)
    checked.qtbot.waitUntil(lambda: dock.check_result is not None, timeout=60_000)
    assert "darkness was trained on 1 of these 1 images" in dock.warnings.text()


def test_without_a_field_the_dock_says_what_to_do(bench):
    bench.click(bench.dock.check)
    assert "There is no field to check against" in bench.dock.error.text()
    assert bench.dock.check.isEnabled()


def test_fields_without_a_dot_are_no_check(bench):
    dock = bench.dock
    bench.session.edit(lambda s: s.add_field(bench.image, FIELD))
    bench.click(dock.check)
    assert "no dot in the fields" in dock.error.text()
    assert Records(bench.session.store).checks() == []


def test_figures_say_whose_they_are_and_that_dots_have_changed_since(checked):
    dock = checked.dock
    assert "darkness: F1" in dock.scores.text()
    assert "changed since" not in dock.scores.text()
    session, image = checked.session, checked.image
    proposed = Nuclei.from_points([(60, 60)], score=0.5, origin="darkness")
    session.edit(lambda s: s.add_proposals(image, proposed))  # no dot, so nothing is old
    session.set_annotator("Bea")
    checked.qtbot.waitUntil(lambda: not dock._live.isActive())
    assert "changed since" not in dock.scores.text()
    session.edit(lambda s: s.add(image, (50, 50)))
    checked.qtbot.waitUntil(lambda: "changed since" in dock.scores.text())
    session.undo()
    checked.qtbot.waitUntil(lambda: "changed since" not in dock.scores.text())


def test_an_error_under_another_image_is_brought_to_the_front(checked):
    viewer, layer = checked.viewer, checked.session.current
    other = viewer.add_image(np.zeros_like(checked.drawn.rgb), name="over it", **UM)
    assert viewer.layers.index(other) > viewer.layers.index(layer)
    layer.visible = False
    checked.click(checked.dock.next)
    assert layer.visible
    assert checked.session.current is layer
    points = checked.session.views.of(layer).points
    order = [viewer.layers.index(each) for each in (other, layer, points)]
    rings = viewer.layers.index(viewer.layers["missed (biopsy)"])
    assert order == sorted(order)
    assert order[1] < rings


def test_correcting_an_error_does_not_begin_the_walk_anew(checked):
    dock, session = checked.dock, checked.session
    for walked in (dock.kind.currentText(), "cell"):
        if walked == "cell":
            dock.confusion.cell_chosen.emit(0, 1)
        checked.click(dock.next)
        checked.click(dock.next)
        found, total = dock.walk.current, len(dock.walk.findings)
        assert total > 2
        session.edit(lambda s, n=found.nucleus: s.relabel([n], "miscellaneous"))
        checked.qtbot.waitUntil(lambda: "changed since" in dock.scores.text())
        checked.qtbot.waitUntil(lambda: not dock._live.isActive())
        assert dock.walk.current is found
        assert dock.found.text().startswith(f"2 of {total}")
        checked.click(dock.next)
        assert dock.found.text().startswith(f"3 of {total}")
