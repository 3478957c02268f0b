"""A person at one window: menus, clicks, drags, the wheel and keys, and what they read there."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_nucbudget.ui.workbench import WorkbenchWidget, dock_titles
from tests.ui.conftest import drag_mouse, move_mouse

NOTHING = Qt.KeyboardModifier.NoModifier
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NOTCH = 120
"""One notch of a wheel, in Qt's eighths of a degree."""


class Person:
    """Does to one window what a person does, and reads its state for assertions."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.window = viewer.window._qt_window
        self.canvas = self.window._qt_viewer.canvas.native
        viewer.window.resize(1280, 800)

    def leave(self) -> None:
        """Let go of the window; who holds its canvas keeps it alive."""
        self.__dict__.clear()

    # -- hands

    def menu(self, *words: str) -> None:
        """Click through a menu; each entry is known by how it begins."""
        place: Any = self.window.menuBar()
        for word in words:
            self.wait(lambda place=place, word=word: self._entry(place, word) is not None)
            action = self._entry(place, word)
            at = place.actionGeometry(action).center()
            below = action.menu()
            self.qtbot.mouseClick(place, Qt.MouseButton.LeftButton, pos=at)
            if below is not None:
                self.wait(below.isVisible)
                place = below

    @staticmethod
    def _entry(place: Any, word: str) -> Any:
        texts = [(a.text().replace("&", ""), a) for a in place.actions() if a.isVisible()]
        return next((action for text, action in texts if text.startswith(word)), None)

    def click(self, button: Any) -> None:
        assert button.isVisible()
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def tab(self, tabs: Any, title: str) -> None:
        """Click the tab with this title."""
        titles = [tabs.tabText(i) for i in range(tabs.count())]
        at = tabs.tabBar().tabRect(titles.index(title)).center()
        self.qtbot.mouseClick(tabs.tabBar(), Qt.MouseButton.LeftButton, pos=at)
        assert tabs.currentWidget().isVisible()

    def pick(self, box: Any, text: str) -> None:
        """Go down a list of choices with the arrow keys to the one that begins so."""
        box.setFocus()
        self.qtbot.keyClick(box, Qt.Key.Key_Home)
        for _ in range(box.count()):
            if box.currentText().startswith(text):
                return
            self.qtbot.keyClick(box, Qt.Key.Key_Down)
        raise AssertionError(f"{text!r} is not offered")

    def type(self, field: Any, text: str) -> None:
        """Type over what a field holds."""
        field.setFocus()
        field.selectAll()
        self.qtbot.keyClicks(field, text)
        self.qtbot.keyClick(field, Qt.Key.Key_Tab)

    def press(self, key: Any, modifier: Any = NOTHING) -> None:
        """A key in the canvas."""
        self.canvas.setFocus()
        self.qtbot.keyClick(self.canvas, key, modifier)
        self.qtbot.wait(20)

    def click_canvas(self, at: QPoint) -> None:
        move_mouse(self.qtbot, self.canvas, at)
        self.qtbot.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=at)
        self.qtbot.wait(20)

    def drag(self, *path: QPoint) -> None:
        """With the left button down from the first point of the canvas to the last."""
        move_mouse(self.qtbot, self.canvas, path[0])
        drag_mouse(self.qtbot, self.canvas, *path)

    def wheel(self, notches: int) -> None:
        """Zoom in at the middle of the canvas, out where negative."""
        at = QPointF(self.canvas.rect().center())
        for _ in range(abs(notches)):
            event = QWheelEvent(
                at,
                QPointF(self.canvas.mapToGlobal(at.toPoint())),
                QPoint(),
                QPoint(0, NOTCH if notches > 0 else -NOTCH),
                Qt.MouseButton.NoButton,
                NOTHING,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            )
            QApplication.sendEvent(self.canvas, event)
            self.qtbot.wait(20)

    def go_to(self, word: str) -> None:
        """F5 shows the first dock, F6 the second ..."""
        key = Qt.Key(Qt.Key.Key_F5.value + list(dock_titles()).index(word))
        with self.qtbot.waitActive(self.window):
            self.window.activateWindow()
        self.qtbot.keyClick(self.window, key)

    # -- eyes

    def wait(self, condition: Any, timeout: int = 60_000) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=timeout)

    def find(self, kind: Any) -> Any:
        (widget,) = self.window.findChildren(kind)
        return widget

    def says(self, words: str) -> None:
        """Wait until the line above the canvas says so."""
        self.wait(lambda: words in self.bench.line.text())

    def on_canvas(self, yx: Any) -> QPoint:
        """Where a place of the current image is on the canvas."""
        world = np.asarray(self.session.current.data_to_world(np.asarray(yx, float)))[-2:]
        camera = self.viewer.scene.camera
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        y, x = (world - np.asarray(camera.center)[-2:]) * camera.zoom + middle
        return QPoint(round(x), round(y))

    @property
    def bench(self) -> Any:
        return self.find(WorkbenchWidget)

    @property
    def session(self) -> Any:
        return self.bench.session

    def nuclei(self, which: str) -> Any:
        """``human`` ones of the current image, or those ``proposed``."""
        return self.session.store.nuclei(self.session.image, which=which)


__all__ = ["CTRL", "SHIFT", "Person"]
