"""The confusion matrix as buttons: a cell shows its nuclei."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

__all__ = ["ConfusionTable"]

RIGHT, WRONG = QColor(0, 165, 184), QColor(224, 123, 0)


class ConfusionTable(QTableWidget):
    """Rows: the class that people gave; columns: the classifier's."""

    cell_chosen = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setToolTip("Rows: the class you gave. Columns: the model's. Click: those nuclei.")
        self.cellClicked.connect(self.cell_chosen)
        self.cellActivated.connect(self.cell_chosen)

    def clear_counts(self) -> None:
        self.names = []
        self.setRowCount(0)

    def show_counts(self, counts: Sequence[Sequence[int]], names: Sequence[str]) -> None:
        """Show (C, C) counts; the stronger the colour, the larger the share of the row."""
        self.names = list(names)
        self.setRowCount(len(names))
        self.setColumnCount(len(names))
        for at, name in enumerate(names):
            self.setHorizontalHeaderItem(at, _title(name, f"{name}, said the model"))
            short = name if len(name) <= 14 else name[:13] + "…"
            self.setVerticalHeaderItem(at, _title(short, f"{name}, said people"))
        for row, line in enumerate(counts):
            total = max(1, sum(line))
            for column, count in enumerate(line):
                item = QTableWidgetItem(f"{count:,}")
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                color = QColor(RIGHT if row == column else WRONG)
                color.setAlphaF(0.75 * count / total)
                item.setBackground(QBrush(color))
                item.setToolTip(f"{count:,} {names[row]} called {names[column]}")
                self.setItem(row, column, item)
        height = self.horizontalHeader().sizeHint().height() + 4
        self.setFixedHeight(height + sum(self.rowHeight(row) for row in range(len(names))))


def _title(text: str, whole: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setToolTip(whole)
    return item
