"""Nuclei per class, field and area, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.bridge.project_points import project_counts
from napari_nucbudget.core.counts import Count

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["CountTable"]

THIS, ALL = "This image", "All images of the project"
COLUMNS = ("image", "field", "class", "nuclei", "human", "per mm²", "per µm²", "area (µm²)")
SOON_MS = 300


class CountTable(QWidget):
    """Follows the project while it is seen; `Copy` gives the table to a spreadsheet."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.scope = QComboBox()
        self.scope.addItems((THIS, ALL))
        self.scope.setToolTip("Nuclei of which images.")
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().setVisible(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTabKeyNavigation(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setToolTip(
            "nuclei: proposals too; human: set or accepted by people. Areas need the pixel size."
        )
        self.copy = QPushButton("Copy &table")
        self.copy.setToolTip("Copy all rows, for a spreadsheet. 'Counts' in Export writes a file.")
        self.note = QLabel()
        self.note.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addWidget(self.scope)
        column.addWidget(self.table, 1)
        column.addWidget(self.note)
        column.addWidget(self.copy)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON_MS)
        self._soon.timeout.connect(self.refresh)
        self.scope.currentIndexChanged.connect(self.refresh)
        self.copy.clicked.connect(self._copy)
        for signal in (session.project_changed, session.image_changed, session.nuclei_changed):
            signal.connect(self._changed)
        self.refresh()

    def showEvent(self, event: Any) -> None:
        self.refresh()
        super().showEvent(event)

    def _changed(self, *_: Any) -> None:
        if self.isVisible():
            self._soon.start()

    def refresh(self, *_: Any) -> None:
        """Count anew."""
        store, image = self._session.store, self._session.image
        rows: list[tuple[str, Count]] = []
        if store is not None:
            every = tuple(each.id for each in store.images)
            here = () if image is None else (image,)
            rows = project_counts(store, every if self.scope.currentText() == ALL else here)
        self.table.setRowCount(len(rows))
        for at, (name, count) in enumerate(rows):
            for column, text in enumerate(_cells(name, count)):
                item = QTableWidgetItem(text)
                if column > 2:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(at, column, item)
        self.table.setColumnHidden(0, self.scope.currentText() == THIS)
        self.copy.setEnabled(bool(rows))
        unknown = sorted({name for name, count in rows if count.mpp is None})
        told = "" if rows else "There are no nuclei in the project to count yet."
        if unknown:
            told = f"No area without the pixel size of {', '.join(unknown)}: type it in Detect."
        self.note.setText(told)
        self.note.setVisible(bool(told))

    def text(self) -> str:
        """All columns and rows, with tabs between."""
        rows = [
            [self.table.item(at, column).text() for column in range(len(COLUMNS))]
            for at in range(self.table.rowCount())
        ]
        return "\n".join("\t".join(cells) for cells in [list(COLUMNS), *rows])

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.text())


def _cells(name: str, count: Count) -> list[str]:
    per_mm2, per_um2, area = (
        "" if value is None else format(value, form)
        for value, form in (
            (count.per_mm2, ".0f"),
            (count.per_um2, ".2e"),
            (count.area_um2, ".0f"),
        )
    )
    numbers = [str(count.nuclei), str(count.human), per_mm2, per_um2, area]
    return [name, count.field, count.label, *numbers]
