"""The body of a dock is always wide enough for what it holds."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QWidget

from napari_nucbudget.ui.column import Column


def test_a_dock_widens_for_what_shows_up_in_it(qtbot):
    window, dock, inside, wide = QMainWindow(), QDockWidget(), QWidget(), QLabel("wide")
    wide.setMinimumWidth(400)
    wide.hide()
    Column.fill(inside, (QLabel("narrow"), wide))
    dock.setWidget(inside)
    window.setCentralWidget(QLabel("canvas"))
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    window.resize(900, 300)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    assert dock.width() < 400
    wide.show()
    qtbot.waitUntil(lambda: dock.width() > 400)
