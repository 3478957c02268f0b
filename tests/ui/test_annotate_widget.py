"""The dock "Annotate nuclei" in a real viewer, with real clicks and keys."""

from __future__ import annotations

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QLabel

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.project import open_project
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.score_map import ScoreMap
from napari_nucbudget.ui.class_dialog import ClassDialog, RemoveDialog
from napari_nucbudget.ui.keys import check_key, class_keys
from tests.ui.annotating import PLACES


def test_a_walk_by_keys_answers_every_proposal_and_undo_takes_it_back(desk):
    assert "No project is open" in desk.dock.project.state.text()
    desk.click(desk.dock.project.start)
    assert not desk.dock.project.start.isEnabled()
    ids = desk.propose()
    assert desk.dock.classes.counts["epithelial"].text() == "2 / 0"
    desk.press(Qt.Key.Key_N)
    first = desk.dock.proposals.walk.current
    place = PLACES[ids.tolist().index(first)]
    np.testing.assert_allclose(desk.middle(), place, atol=0.5)
    assert desk.viewer.scene.camera.zoom >= 4.0

    desk.press(Qt.Key.Key_K)
    second = desk.dock.proposals.walk.current
    assert second != first
    desk.press(Qt.Key.Key_J)
    desk.press(Qt.Key.Key_E)
    assert desk.counts()["miscellaneous"][1] >= 1
    assert sum(proposed for proposed, _ in desk.counts().values()) == 1
    assert desk.dock.undo.text() == "Undo: relabel 1 nucleus"
    desk.click(desk.dock.undo)
    assert desk.dock.redo.text() == "Redo: relabel 1 nucleus"
    desk.press(Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert "2 to be answered" in desk.dock.proposals.left.text()


def test_the_least_sure_comes_first_where_that_is_asked_for(desk):
    ids = desk.propose()
    desk.dock.proposals.order.setCurrentText("least sure first")
    desk.click(desk.dock.proposals.next)
    assert desk.dock.proposals.walk.current == ids[1]
    desk.click(desk.dock.proposals.next)
    assert desk.dock.proposals.walk.current == ids[3]
    desk.click(desk.dock.proposals.previous)
    assert desk.dock.proposals.walk.current == ids[1]


def test_classes_can_be_added_renamed_and_recoloured_with_their_keys(desk):
    desk.propose()
    panel = desk.dock.classes
    panel.take_new(NucleusClass("apoptotic", "#ff9100", "G"))
    assert "apoptotic" in panel.buttons["apoptotic"].text()
    desk.session.views.of().select(desk.session.store.nuclei(desk.session.image).id[:1])
    desk.press(Qt.Key.Key_G)
    assert desk.counts()["apoptotic"] == (0, 1)
    panel.take_change("apoptotic", NucleusClass("mitotic", "#b388ff", "H"))
    assert desk.session.active_class == "mitotic"
    assert desk.counts()["mitotic"] == (0, 1)
    np.testing.assert_allclose(
        desk.session.views.of().points.face_color[0], [179 / 255, 136 / 255, 1, 1], atol=1e-6
    )
    desk.session.views.of().select(desk.session.store.nuclei(desk.session.image).id[1:2])
    desk.press(Qt.Key.Key_G)
    assert desk.counts()["mitotic"] == (0, 1)
    desk.press(Qt.Key.Key_H)
    assert desk.counts()["mitotic"] == (0, 2)


def test_a_class_is_removed_and_its_nuclei_go_where_a_person_says(desk):
    desk.propose()
    panel, session = desk.dock.classes, desk.session
    desk.click(panel.buttons["epithelial"])
    session.edit(lambda store: store.accept(store.proposals(session.image)[:1]))

    def answer(into, button):
        (dialog,) = [w for w in QApplication.topLevelWidgets() if isinstance(w, RemoveDialog)]
        assert "1 nuclei and 1 open proposals" in dialog.findChild(QLabel).text()
        dialog.into_box.setCurrentText(into)
        desk.qtbot.mouseClick(
            dialog.findChild(QDialogButtonBox).button(button), Qt.MouseButton.LeftButton
        )

    def remove(into, button=QDialogButtonBox.StandardButton.Ok):
        QTimer.singleShot(0, lambda: answer(into, button))
        desk.click(panel.remove)

    remove("miscellaneous", QDialogButtonBox.StandardButton.Cancel)
    assert desk.counts()["epithelial"] == (1, 1)
    remove("miscellaneous")
    assert list(panel.buttons) == ["inflammatory", "miscellaneous", ""]
    assert desk.counts()["miscellaneous"] == (2, 1)
    assert not panel.remove.isEnabled()  # no class is active any more
    desk.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert desk.counts()["epithelial"] == (1, 1)
    desk.click(panel.buttons["epithelial"])
    remove("no class")
    assert desk.counts()["unlabelled"] == (1, 1)
    assert session.store.undo_label == "remove class epithelial"


def test_a_class_without_nuclei_goes_at_once_and_classes_can_be_moved(desk):
    desk.click(desk.dock.project.start)
    panel, store = desk.dock.classes, desk.session.store
    desk.click(panel.buttons["miscellaneous"])
    assert not panel.down.isEnabled()
    desk.click(panel.up)
    assert store.classes.names == ("epithelial", "miscellaneous", "inflammatory")
    assert desk.session.active_class == "miscellaneous"
    desk.click(panel.down)
    desk.click(panel.remove)
    assert store.classes.names == ("epithelial", "inflammatory")
    desk.session.undo()
    assert store.classes.names == DEFAULT_CLASSES.names


def test_the_dialog_says_why_a_key_or_a_name_cannot_be(desk):
    dialog = ClassDialog(NucleusClass("", "#ff9100", "1"), DEFAULT_CLASSES)
    desk.qtbot.addWidget(dialog)
    for name, key, why in (
        ("new", "1", "napari's digits delete"),
        ("new", "S", "napari needs the key S"),
        ("new", "Q", "'epithelial' has the key Q"),
        ("epithelial", "G", "must differ"),
        ("", "G", "must not be empty"),
    ):
        dialog.name.setText(name)
        dialog.key.setText(key)
        dialog._try()
        assert why in dialog.error.text()
        assert dialog.answer is None
    dialog.name.setText("new")
    dialog._try()
    assert dialog.answer == NucleusClass("new", "#ff9100", "G")


def test_keys_follow_the_preferences_and_a_digit_there_changes_nothing(desk):
    ids = desk.propose()
    settings = get_plugin_settings("napari-nucbudget").keys
    assert settings.accept == "K"
    try:
        settings.accept = "U"
        assert "Key U." in desk.dock.proposals.accept.toolTip()
        desk.session.views.of().select(ids[:1])
        desk.press(Qt.Key.Key_U)
        assert desk.counts()["epithelial"] == (1, 1)
        settings.accept = "1"
        desk.session.views.of().select(ids[1:2])
        desk.press(Qt.Key.Key_K)
        assert desk.counts()["epithelial"] == (0, 2)
    finally:
        settings.accept = "K"
    with pytest.raises(ConfigError, match="is no key"):
        check_key("F13")


def test_a_wrong_crop_of_the_gallery_gets_its_class_by_one_key(desk):
    ids = desk.propose()
    gallery = desk.dock.gallery
    desk.dock.tabs.setCurrentWidget(gallery)
    gallery.class_name.setCurrentText("epithelial")
    desk.click(gallery.fill)
    desk.qtbot.waitUntil(lambda: gallery.list.count() == 2, timeout=5000)
    shown = [gallery.list.item(row).data(256) for row in range(2)]
    assert shown == [ids[1], ids[0]]
    gallery.list.item(0).setSelected(True)
    gallery.list.setFocus()
    desk.qtbot.keyClick(gallery.list, Qt.Key.Key_W)
    assert desk.counts()["inflammatory"] == (1, 1)
    assert gallery.list.item(0).isHidden()
    assert not gallery.list.item(1).isHidden()


def test_another_class_in_the_box_takes_no_crop_away_before_its_crops_are_asked_for(desk):
    desk.propose()
    gallery = desk.dock.gallery
    desk.dock.tabs.setCurrentWidget(gallery)
    gallery.class_name.setCurrentText("epithelial")
    desk.click(gallery.fill)
    desk.qtbot.waitUntil(lambda: gallery.list.count() == 2, timeout=5000)
    gallery.class_name.setCurrentText("inflammatory")
    gallery.list.item(0).setSelected(True)
    gallery.list.setFocus()
    desk.qtbot.keyClick(gallery.list, Qt.Key.Key_W)
    assert gallery.list.item(0).isHidden()
    assert not gallery.list.item(1).isHidden()


def test_the_walk_brings_a_layer_back_that_was_taken_away(desk):
    ids = desk.propose()
    layers = desk.viewer.layers
    layers.selection.active = desk.session.views.of().points
    layers.remove_selected()
    desk.click(desk.dock.proposals.next)
    points = desk.session.views.of().points
    assert points in layers
    assert layers.selection.active is points
    assert len(points.data) == len(ids)
    assert desk.session.views.of().selected.size == 1


def test_a_field_waits_until_every_proposal_in_it_is_answered(desk):
    desk.propose()
    fields, area = desk.dock.fields, Region(30, 50, 60, 60)
    desk.dock.tabs.setCurrentWidget(fields)
    assert not fields.declare_region(area)
    assert "1 proposal in this field is unanswered" in desk.dock.project.error.text()
    desk.click(fields.unanswered)
    desk.press(Qt.Key.Key_K)
    assert fields.declare_region(area)
    assert fields.list.count() == 1
    assert "fields (biopsy)" in desk.viewer.layers
    desk.session.undo()
    assert fields.list.count() == 0


def test_a_second_reading_is_blind_and_its_agreement_is_shown(desk):
    desk.propose()
    session, fields = desk.session, desk.dock.fields
    image = session.image
    session.edit(lambda store: store.accept_all(image))
    assert fields.declare_region(Region(0, 0, 240, 320))
    desk.dock.tabs.setCurrentWidget(fields)
    fields.who.setText("Bob")
    desk.click(fields.second)
    assert len(session.views.of().points.data) == 0
    session.set_active_class("epithelial")
    session.views.of().points.add([(61.0, 81.0), (61.0, 199.0), (180.0, 81.0)])
    desk.qtbot.wait(30)
    desk.click(fields.second)
    assert len(session.views.of().points.data) == 4
    desk.click(fields.compare)
    assert "F1 0.86" in fields.result.text()
    assert "3 both, 1 and 0 of one alone" in fields.result.text()
    assert len(session.store.nuclei(image, which="human")) == 4


def test_a_click_snaps_to_the_nucleus_where_a_map_was_kept(desk, drawn):
    desk.propose()
    session = desk.session
    height = 1 - drawn.rgb[..., 0].astype(np.float32) / 235
    session.score_maps[session.image] = ScoreMap(height, (0, 0), 1.0)
    session.snap_px = 8.0
    session.views.of().points.add([(113.0, 94.0)])
    desk.qtbot.wait(30)
    (dot,) = session.store.nuclei(session.image, which="human").yx
    np.testing.assert_allclose(dot, (110, 90), atol=0.6)
    desk.click(desk.dock.proposals.snap)
    session.views.of().points.add([(113.0, 54.0)])
    desk.qtbot.wait(30)
    np.testing.assert_allclose(
        session.store.nuclei(session.image, which="human").yx[1], (113, 54), atol=0.01
    )


def test_closing_the_window_closes_the_project_with_everything_in_it(desk):
    ids = desk.propose()
    desk.session.edit(lambda store: store.accept(ids[:2]))
    path = desk.session.store.path
    desk.viewer.close()
    desk.qtbot.waitUntil(lambda: desk.session.store is None, timeout=5000)
    with open_project(path) as store:
        assert not store.read_only
        assert len(store.nuclei(1, which="human")) == 2
        assert not store.notices


def test_every_control_has_a_tooltip_and_takes_the_keyboard(desk):
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit

    desk.propose()
    controls = []
    for kind in (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox):
        controls += desk.dock.findChildren(kind)
    own = [c for c in controls if not isinstance(c.parent(), QAbstractSpinBox)]
    own = [c for c in own if type(c).__module__ != "superqt" and c.objectName()[:3] != "qt_"]
    own = [c for c in own if "Scroll" not in type(c.parent()).__name__]
    own = [c for c in own if type(c.parent()).__name__ != "QTabBar"]
    without = [c for c in own if not c.toolTip()]
    assert not [f"{type(c).__name__} {getattr(c, 'text', str)()}" for c in without]


def test_a_class_cannot_have_the_key_of_a_command(desk):
    dialog = ClassDialog(NucleusClass("tumour", "#ff9100", "J"), DEFAULT_CLASSES)
    desk.qtbot.addWidget(dialog)
    dialog._try()
    assert "that of a command" in dialog.error.text()
    assert dialog.answer is None
    # a project of before may have one: then the command has the key
    old = ClassScheme((*DEFAULT_CLASSES.classes, NucleusClass("old", "#ffffff", "J")))
    assert list(class_keys(old)) == list(DEFAULT_CLASSES.names)
