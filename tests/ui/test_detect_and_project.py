"""What the dock "Detect nuclei" does to the project, and hears of the other docks."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np

from napari_nucbudget.bridge.layers import points_name
from napari_nucbudget.project import Records
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui import detect_widget, detect_work
from napari_nucbudget.ui.keys import class_keys


def test_kept_nuclei_are_proposals_of_the_project_and_answers_outlive_a_second_run(
    dock_with_image, drawn
):
    dock = dock_with_image
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    session, kept = dock.widget.session, dock.widget.kept
    assert session.store is None
    dock.click(kept.keep)
    image, total = session.image, drawn.count(0.5)
    assert len(session.store.proposals(image)) == total
    assert f"{total} proposals are in the project" in kept.told.text()
    assert dock.points is session.views.of().points
    assert session.store.image(image).mpp == 0.5

    answered = session.store.proposals(image)[:3]
    session.edit(lambda store: store.accept(answered[:2]))
    session.edit(lambda store: store.reject(answered[2:]))
    assert kept.at_once.isChecked()
    dock.run()
    assert len(session.store.proposals(image)) == total - 3
    assert "3 were answered before" in kept.told.text()
    session.close()


def test_nuclei_are_typed_by_the_chosen_model_and_kept_with_their_classes(
    dock_with_image, drawn, monkeypatch
):
    from types import SimpleNamespace

    from napari_nucbudget.infer import typed
    from napari_nucbudget.types.classes import ClassScheme, NucleusClass

    scheme = ClassScheme((NucleusClass("epithelial", "#00e5ff"), NucleusClass("plasma", "#ff9100")))

    def classify(source, nuclei, classifier, *, mpp):
        yield
        prob = np.tile(np.float32([0.2, 0.8]), (len(nuclei), 1))
        label = np.ones(len(nuclei), np.int16)
        return dataclasses.replace(nuclei, label=label, prob=prob, classes=scheme)

    monkeypatch.setattr(typed, "iter_classify", classify)
    dock = dock_with_image
    catalogue = dock.widget._catalogue
    monkeypatch.setattr(
        catalogue, "load_classifier", lambda name, device: SimpleNamespace(classes=scheme)
    )
    dock.widget.form.classifier.addItem("two classes")
    dock.widget.form.classifier.setCurrentText("two classes")
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    assert set(dock.points.features["label"]) == {"plasma"}
    dock.widget.result.threshold.setValue(0.3)
    dock.settle()
    dock.click(dock.widget.kept.keep)
    session = dock.widget.session
    dock.wait(lambda: session.store is not None)
    count = session.store.counts(session.image)["plasma"]
    assert (count.proposed, count.human) == (drawn.count(0.3), 0)
    session.close()


def test_after_keeping_a_click_and_a_key_give_a_class_with_no_other_dock_open(dock_with_image):
    dock = dock_with_image
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    dock.click(dock.widget.kept.keep)
    session, viewer = dock.widget.session, dock.viewer
    view = session.views.of()
    assert viewer.layers.selection.active is view.points
    assert view.points.name == points_name(session.current.name)  # not a second one of that name
    key, name = next((key, name) for name, key in class_keys(session.store.classes).items())
    assert f"press {key} for {name}" in dock.widget.kept.told.text()
    view.points.mode = "select"
    view.points.selected_data = {4}
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    dock.qtbot.keyClicks(canvas, key.lower())
    assert session.store.counts(session.image)[name].human == 1
    session.close()


def test_the_picker_follows_the_image_that_the_other_docks_work_on(dock_with_image, drawn):
    dock = dock_with_image
    first = dock.viewer.layers["biopsy"]
    second = dock.viewer.add_image(drawn.rgb, name="second", scale=(0.5, 0.5), units=("um", "um"))
    assert dock.widget.form.image.current is second
    dock.viewer.layers.selection.active = first
    assert dock.widget.form.image.current is first is dock.widget.session.current


def test_a_model_that_is_kept_meanwhile_is_offered_and_the_choice_stays(
    dock_with_image, monkeypatch
):
    form = dock_with_image.widget.form
    chosen = form.model.currentText()
    names = [*form._catalogue.names(), "kept"]
    monkeypatch.setattr(form._catalogue, "refresh", lambda: None)
    monkeypatch.setattr(form._catalogue, "names", lambda: names)
    dock_with_image.widget.session.models_changed.emit()
    assert [form.model.itemText(i) for i in range(form.model.count())].count("kept") == 1
    assert form.model.currentText() == chosen


def test_keeping_does_not_put_a_size_that_the_layer_says_in_place_of_a_corrected_one(
    dock_with_image,
):
    dock, form = dock_with_image, dock_with_image.widget.form
    session = dock.widget.session
    image = session.ensure()
    session.edit(lambda store: store.describe_image(image, mpp=0.25))
    dock.run()
    dock.widget.kept.keep.click()
    assert "the project 0.25" in dock.widget.error.text()
    assert session.store.image(image).mpp == 0.25
    assert len(session.store.nuclei(image)) == 0
    assert form.set_mpp.isVisibleTo(form)  # though the layer says what is typed
    form.set_mpp.click()
    assert session.store.image(image).mpp == 0.5
    assert not form.set_mpp.isVisibleTo(form)
    dock.widget.kept.keep.click()
    assert len(session.store.nuclei(image)) > 0


def test_an_image_that_is_picked_in_the_dock_is_that_of_the_other_docks(dock_with_image, drawn):
    dock = dock_with_image
    picker = dock.widget.form.image
    dock.viewer.add_image(drawn.rgb, name="second", scale=(0.5, 0.5), units=("um", "um"))
    at = picker.findText("biopsy")
    picker.setCurrentIndex(at)
    picker.activated.emit(at)  # as a click does
    assert dock.widget.session.current is dock.viewer.layers["biopsy"]
    dock.viewer.add_points([[1, 1]], name="others")
    dock.viewer.layers.selection.active = dock.viewer.layers["biopsy"]
    assert picker.current is dock.viewer.layers["biopsy"]


def second_image(dock, drawn):
    other = np.roll(drawn.rgb[::-1], 7, axis=1).copy()
    layer = dock.viewer.add_image(other, name="second", scale=(0.5, 0.5), units=("um", "um"))
    dock.wait(lambda: dock.widget.form.image.current is layer)
    return layer


def begin(dock, detector):
    """A run that does not end before the detector's gate is opened."""
    detector.gate.clear()
    detector.entered.clear()
    dock.click(dock.widget.detect)
    dock.wait(detector.entered.is_set)


def test_after_a_run_on_another_image_was_given_up_the_result_stays_that_of_its_image(
    dock_with_image, drawn, detector
):
    dock, widget = dock_with_image, dock_with_image.widget
    session, first = widget.session, dock.viewer.layers["biopsy"]
    widget.form.scope.setCurrentText("Whole image")
    dock.run()
    second = second_image(dock, drawn)
    begin(dock, detector)
    dock.click(widget.cancel)
    detector.gate.set()
    dock.click(widget.kept.keep)
    assert session.image_of(second) is None
    assert len(session.store.proposals(session.image_of(first))) == drawn.count(0.5)
    session.close()


def test_after_a_run_of_another_model_was_given_up_the_one_that_found_them_is_noted(
    dock_with_image, detector
):
    dock, widget = dock_with_image, dock_with_image.widget
    dock.run()
    widget.form.model.setCurrentText("strict")
    begin(dock, detector)
    dock.click(widget.cancel)
    detector.gate.set()
    dock.click(widget.kept.keep)
    assert [use.name for use in Records(widget.session.store).models()] == ["darkness"]
    widget.session.close()


def test_a_project_that_is_opened_during_a_run_gets_its_nuclei_only_when_asked(
    dock_with_image, drawn, detector, tmp_path
):
    dock, widget = dock_with_image, dock_with_image.widget
    session = widget.session
    session.open(tmp_path / "first.nucbudget")
    widget.form.scope.setCurrentText("Whole image")
    begin(dock, detector)
    session.open(tmp_path / "second.nucbudget")
    detector.gate.set()
    dock.wait(lambda: not widget.job.running)
    assert list(session.store.images) == []
    assert len(dock.points.data) == drawn.count(0.5)  # shown, to be kept by a click
    dock.click(widget.kept.keep)
    assert len(session.store.proposals(session.image)) == drawn.count(0.5)
    session.close()


def test_nuclei_that_are_typed_while_another_run_begins_go_to_their_own_image(
    dock_with_image, drawn, detector, monkeypatch
):
    dock, widget = dock_with_image, dock_with_image.widget
    session, first = widget.session, dock.viewer.layers["biopsy"]
    typed = threading.Event()

    def nothing(request, catalogue, proposals, *, threshold):
        yield Progress(0, 1)
        return proposals

    def slow(request, catalogue, proposals, *, threshold):
        while not typed.wait(0.01):
            yield Progress(0, 1)
        return dataclasses.replace(proposals)

    widget.form.classifier.addItem("slow")
    widget.form.classifier.setCurrentText("slow")
    widget.form.scope.setCurrentText("Whole image")
    monkeypatch.setattr(detect_work, "typing", nothing)
    monkeypatch.setattr(detect_widget, "typing", slow)
    dock.run()
    dock.click(widget.kept.keep)
    second = second_image(dock, drawn)
    begin(dock, detector)
    typed.set()
    dock.wait(lambda: not widget.typing_job.running)
    assert session.image_of(second) is None
    assert len(session.store.proposals(session.image_of(first))) == drawn.count(0.5)
    dock.click(widget.cancel)
    detector.gate.set()
    session.close()


def test_moving_the_threshold_after_keeping_leaves_clicks_in_the_project(dock_with_image, drawn):
    dock, widget = dock_with_image, dock_with_image.widget
    widget.form.scope.setCurrentText("Whole image")
    dock.run()
    dock.click(widget.kept.keep)
    session, layers = widget.session, dock.viewer.layers
    kept = session.views.of().points
    assert layers.selection.active is kept
    widget.result.threshold.setValue(0.7)
    dock.settle()
    assert dock.points is not kept
    assert len(dock.points.data) == drawn.count(0.7)
    assert layers.selection.active is kept
    session.close()


def test_the_threshold_of_the_dock_check_draws_nothing_after_keeping(dock_with_image, drawn):
    dock, widget = dock_with_image, dock_with_image.widget
    widget.form.scope.setCurrentText("Whole image")
    dock.run()
    widget.take_threshold(0.9)
    dock.settle()
    assert len(dock.points.data) == drawn.count(0.9)  # what is on screen follows
    dock.click(widget.kept.keep)
    before = list(dock.viewer.layers)
    widget.take_threshold(0.7)
    dock.settle()
    assert list(dock.viewer.layers) == before
    assert f"<b>{drawn.count(0.7)} nuclei</b>" in widget.result.count.text()
    widget.session.close()
