"""Which images are trained on, validated on and tested on, by patient, before training starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem

from napari_nucbudget.types.labels import SPLITS

__all__ = ["SplitRow", "SplitTable"]

MOST_PX = 150
COLUMNS = ("Image", "Patient", "Labels", "Use")


@dataclass(frozen=True)
class SplitRow:
    """One labelled image: what it is marked as, and what it will be used for."""

    image: int
    name: str
    patient: str
    labels: str
    marked: str
    used: str


class SplitTable(QTableWidget):
    """Patient and use can be changed; the project remembers them."""

    split_chosen = Signal(int, str)
    patient_typed = Signal(int, str)

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self._rows: tuple[SplitRow, ...] = ()
        self.setHorizontalHeaderLabels(COLUMNS)
        self.verticalHeader().setVisible(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setMinimumWidth(350)
        self.setToolTip(
            "Images of one patient stay together. Type the patient, so that none is on both sides. "
            "Mark images as test to compare models on them: nothing is learnt from those."
        )
        self.itemChanged.connect(self._typed)

    @property
    def rows(self) -> tuple[SplitRow, ...]:
        return self._rows

    def show_rows(self, rows: Sequence[SplitRow]) -> None:
        """Show what is planned."""
        if tuple(rows) == self._rows:
            for number, row in enumerate(rows):  # a choice that changed nothing is taken back
                self.cellWidget(number, 3).setCurrentText(row.used)
            return
        self._rows = tuple(rows)
        self.blockSignals(True)
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate((row.name, row.patient, row.labels)):
                item = QTableWidgetItem(text)
                if column != 1:
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                item.setToolTip(text)
                self.setItem(number, column, item)
            box = QComboBox()
            box.addItems(SPLITS)
            box.setCurrentText(row.used)
            box.setToolTip("Held out by chance" if row.used != row.marked else "As marked")
            box.textActivated.connect(
                lambda text, image=row.image: self.split_chosen.emit(image, text)
            )
            self.setCellWidget(number, 3, box)
        self.blockSignals(False)
        self.resizeRowsToContents()
        rows = sum(self.rowHeight(number) for number in range(len(self._rows)))
        self.setFixedHeight(min(MOST_PX, self.horizontalHeader().sizeHint().height() + rows + 4))

    def _typed(self, item: QTableWidgetItem) -> None:
        if item.column() == 1:
            patient = item.text().strip() or "unknown"
            self.patient_typed.emit(self._rows[item.row()].image, patient)
