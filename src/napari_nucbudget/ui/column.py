"""The body of a dock, which scrolls in a low window."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

__all__ = ["Column"]


class Column(QScrollArea):
    """Scrolls up and down in a low window, and is always wide enough for what it holds."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + bar, 200)

    def sizeHint(self) -> QSize:
        return self.minimumSizeHint().expandedTo(self.widget().sizeHint())
