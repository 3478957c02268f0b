"""The dock "Export and import nuclei": files out of the project, files into it, and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_nucbudget.ui.column import Column
from napari_nucbudget.ui.count_table import CountTable
from napari_nucbudget.ui.export_panel import ExportPanel
from napari_nucbudget.ui.import_panel import ImportPanel
from napari_nucbudget.ui.jobs import in_words
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.theme import colors_of
from napari_nucbudget.ui.words import Words

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["ExportWidget"]


class ExportWidget(QWidget):
    """Dock widget; napari makes it with the viewer."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.session = session = Session.of(napari_viewer)
        self.out = ExportPanel(session)
        self.in_ = ImportPanel(session)
        self.counts = CountTable(session)
        self.error = Words()
        self.error.setWordWrap(True)
        self.error.setAccessibleName("Error")
        self.error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.error.setVisible(False)
        self.tabs = QTabWidget()
        for panel, title in (
            (self.out, "Export"),
            (self.in_, "Import"),
            (self.counts, "Counts"),
        ):
            self.tabs.addTab(panel, title)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.addWidget(self.error)
        column.addWidget(self.tabs, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(Column(inside))
        for panel in (self.out, self.in_):
            panel.failed.connect(self._show_error)
        session.failed.connect(self._show_error)
        session.nuclei_changed.connect(self._went_well)
        session.viewer.events.theme.connect(self._apply_theme)
        session.join(self)
        self._apply_theme()
        session.open_existing()

    def event(self, event: QEvent) -> bool:
        """A dock that was closed gives its widget up: stop what runs."""
        left = event.type() == QEvent.Type.ParentChange and self.parent() is None
        if left and hasattr(self, "tabs"):
            self.out.job.close()
            self.in_.job.close()
        return super().event(event)

    def _went_well(self, notes: Any = None) -> None:
        self._show_error(None)

    def _show_error(self, error: BaseException | None) -> None:
        self.error.setText("" if error is None else in_words(error))
        self.error.setVisible(error is not None)

    def _apply_theme(self, event: Any = None) -> None:
        colors = colors_of(self.session.viewer)
        self.error.setStyleSheet(f"color: {colors.error};")
        self.in_.warning.setStyleSheet(f"color: {colors.ask};")
