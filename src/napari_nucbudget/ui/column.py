"""The body of a dock, which scrolls in a low window."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

__all__ = ["Column"]


class Column(QScrollArea):
    """Scrolls up and down in a low window, and is always wide enough for what it holds."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside.installEventFilter(self)

    @classmethod
    def fill(cls, dock: QWidget, parts: Iterable[QWidget | QLayout]) -> None:
        """Give a dock a body of these parts from top to bottom; what room is left stays below."""
        inside = QWidget()
        column = QVBoxLayout(inside)
        for part in parts:
            if isinstance(part, QWidget):
                column.addWidget(part)
            else:
                column.addLayout(part)
        column.addStretch(1)
        layout = QVBoxLayout(dock)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(cls(inside))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """What shows up inside may need a wider dock, which a scroll area does not tell it."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete, pressed in a list or table, does not reach the nuclei that are selected."""
        inside = self.window().focusWidget()
        deletes = event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
        if deletes and isinstance(inside, (QAbstractItemView, QComboBox)):
            event.accept()
        else:
            super().keyPressEvent(event)

    def minimumSizeHint(self) -> QSize:
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + bar, 200)

    def sizeHint(self) -> QSize:
        return self.minimumSizeHint().expandedTo(self.widget().sizeHint())
