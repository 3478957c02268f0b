"""The body of a dock is always wide enough for what it holds."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QLabel,
    QListWidget,
    QMainWindow,
    QPushButton,
    QWidget,
)

from napari_nucbudget.ui.column import Column
from napari_nucbudget.ui.words import Words, shortened


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


def test_delete_in_a_list_or_a_picker_stays_there(qtbot):
    pressed = []

    class Window(QMainWindow):
        def keyPressEvent(self, event):  # noqa: N802
            pressed.append(event.key())

    window, inside = Window(), QWidget()
    rows, picker, button = QListWidget(), QComboBox(), QPushButton("A")
    rows.addItems(["a", "b"])
    Column.fill(inside, (rows, picker, button))
    window.setCentralWidget(inside)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    for part in (rows, picker, button):
        part.setFocus()
        for key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            qtbot.keyClick(part, key)
        assert len(pressed) == (2 if part is button else 0)


def test_a_name_without_end_does_not_widen_a_dock(qtbot):
    words, plain = Words(), QLabel()
    plain.setWordWrap(True)
    for label in (words, plain):
        qtbot.addWidget(label)
        label.setText("x" * 200)
    assert words.minimumSizeHint().width() <= 240 < plain.minimumSizeHint().width()
    assert shortened("short") == "short"
    long = shortened("begin" + "x" * 100 + "end.tif", 20)
    assert len(long) == 20
    assert long.startswith("begin")
    assert long.endswith("end.tif")
