"""Tells when a window closes in which one of our docks lies."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

__all__ = ["WindowEnd"]


class WindowEnd(QObject):
    """Calls `then` when the window of a watched dock is closed; a dock may lie in one later."""

    def __init__(self, parent: QObject, then: Callable[[], None]) -> None:
        super().__init__(parent)
        self._then = then
        self._windows: set[int] = set()

    def watch(self, dock: QWidget) -> None:
        """Follow a dock into the window in which it is shown."""
        dock.installEventFilter(self)

    def eventFilter(self, dock: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and isinstance(dock, QWidget):
            window = dock.window()
            if window is not dock and id(window) not in self._windows:
                self._windows.add(id(window))
                window.destroyed.connect(self._then)
        return False
