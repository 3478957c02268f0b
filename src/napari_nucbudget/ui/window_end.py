"""Tells when a window closes in which one of our docks lies."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

__all__ = ["WindowEnd"]


class WindowEnd(QObject):
    """`came` when the window of a watched dock is closed; a dock may come to lie in one later."""

    came = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._windows: set[int] = set()

    def watch(self, dock: QWidget) -> None:
        """Follow a dock into the window in which it is shown."""
        dock.installEventFilter(self)

    def eventFilter(self, dock: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and isinstance(dock, QWidget):
            window = dock.window()
            if window is not dock and id(window) not in self._windows:
                self._windows.add(id(window))
                window.destroyed.connect(self.came)
        return False
