"""Names on buttons: a long one widens no dock, and one with an & is shown as it is."""

from __future__ import annotations

from napari_nucbudget.types.classes import NucleusClass

LONG = "TCGA-A2-A0CM-01Z-00-DX1.AC4901DE-4B6D-4185-BB9F-156033839828.nuclei.geojson"


def test_a_long_step_or_class_widens_no_dock(desk):
    session, dock = desk.session, desk.dock
    session.ensure()
    session.edit(lambda store: store.add(1, (10.0, 10.0), "epithelial"))
    width = dock.minimumSizeHint().width()
    label = f"import 1,234 nuclei from {LONG}"
    for y in (20.0, 30.0):
        with session.store.group(label):
            session.store.add(1, (y, 10.0))
        session.sync()
    session.undo()
    desk.qtbot.wait(50)
    assert dock.undo.text().startswith("Undo: import")
    assert label in dock.undo.toolTip()
    assert label in dock.redo.toolTip()
    assert dock.minimumSizeHint().width() <= width + 120
    name = "epithelial, atypical, of the superficial layer, mitotic or apoptotic"
    dock.classes.take_new(NucleusClass(name, "#ff9100", "G"))
    desk.qtbot.wait(50)
    assert name in dock.classes.buttons[name].toolTip()
    assert dock.minimumSizeHint().width() <= width + 120


def test_an_ampersand_is_a_letter_and_no_key(desk):
    desk.session.ensure()
    name = "Mitotic & apoptotic"
    desk.dock.classes.take_new(NucleusClass(name, "#ff9100", "G"))
    button = desk.dock.classes.buttons[name]
    assert button.shortcut().isEmpty()
    assert button.text().startswith("Mitotic && apoptotic")  # Qt shows two as one
    assert desk.dock.undo.shortcut().isEmpty()
    desk.click(button)
    assert desk.session.active_class == name
