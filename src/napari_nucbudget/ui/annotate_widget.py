"""The dock "Annotate nuclei": classes, proposals, gallery, fields, undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.project import Records
from napari_nucbudget.types.progress import time_in_words
from napari_nucbudget.ui.class_panel import ClassPanel
from napari_nucbudget.ui.column import Column
from napari_nucbudget.ui.field_panel import FieldPanel
from napari_nucbudget.ui.gallery import Gallery
from napari_nucbudget.ui.project_panel import ProjectPanel
from napari_nucbudget.ui.proposal_panel import ProposalPanel
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.theme import colors_of
from napari_nucbudget.ui.words import plain, shortened

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["AnnotateWidget"]

SPENT_MS = 500
LONGEST = 24
"""Letters of what would be undone: two buttons with as many fit beside each other."""


class AnnotateWidget(QWidget):
    """Dock widget; napari makes it with the viewer."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.session = session = Session.of(napari_viewer)
        self._viewer = session.viewer
        self.project = ProjectPanel(session)
        self.classes = ClassPanel(session)
        self.proposals = ProposalPanel(session)
        self.gallery = Gallery(session)
        self.fields = FieldPanel(session, self.proposals.walk)
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self.spent = QLabel()
        self.spent.setWordWrap(True)
        self.spent.setToolTip("Nuclei that stand as each person left them; breaks do not count.")
        self._shortcuts: list[QShortcut] = []
        self._build()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SPENT_MS)
        self._later.timeout.connect(self._show_spent)
        session.join(self)
        self.undo.clicked.connect(session.undo)
        self.redo.clicked.connect(session.redo)
        self.gallery.chosen.connect(self.proposals.walk.go_to)
        for signal in (session.project_changed, session.image_changed, session.nuclei_changed):
            signal.connect(self.refresh)
        session.keys_changed.connect(self.refresh)
        self._viewer.events.theme.connect(self._apply_theme)
        self._offer_keys()
        self._apply_theme()
        session.open_existing()
        self.refresh()

    def _build(self) -> None:
        label = QWidget()
        column = QVBoxLayout(label)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.classes)
        column.addWidget(self.proposals)
        column.addStretch(1)
        self.tabs = QTabWidget()
        self.tabs.addTab(label, "Label")
        self.tabs.addTab(self.gallery, "Gallery")
        self.tabs.addTab(self.fields, "Fields")
        steps = QHBoxLayout()
        steps.addWidget(self.undo)
        steps.addWidget(self.redo)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.addWidget(self.project)
        column.addLayout(steps)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.spent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(Column(inside))

    def event(self, event: QEvent) -> bool:
        """A dock that was closed gives its widget up; the project stays open for the others."""
        if event.type() == QEvent.Type.ParentChange and hasattr(self, "_later"):
            if self.parent() is None:
                self.gallery.job.close()
                self.classes.loop.stop()
                self.session.keys.withdraw("next_proposal", "previous_proposal", "lasso")
            else:
                self._offer_keys()
                self.refresh()
        return super().event(event)

    def _offer_keys(self) -> None:
        walk = self.proposals.walk
        self.session.keys.offer(
            next_proposal=self.proposals.show_next,
            previous_proposal=walk.previous,
            lasso=self.classes.loop.start,
        )

    def refresh(self, notes: Any = None) -> None:
        """Show the project as it is now."""
        store = self.session.store
        self.classes.refresh()
        self.proposals.refresh()
        self.gallery.refresh()
        self.fields.refresh()
        for button, label, word, key in (
            (self.undo, store and store.undo_label, "Undo", "Ctrl+Z"),
            (self.redo, store and store.redo_label, "Redo", "Ctrl+Shift+Z"),
        ):
            button.setText(plain(f"{word}: {shortened(label, LONGEST)}") if label else word)
            step = f"{word}: {label}. " if label and len(label) > LONGEST else ""
            button.setToolTip(f"{step}{word} ({key}), also of what was done before a restart.")
            button.setEnabled(bool(label) and not self.session.read_only)
        self._bind()
        self._later.start()

    def _bind(self) -> None:
        """The canvas's keys also work while a control of the dock has the focus."""
        table = self.session.keys.table()
        if [s.key().toString() for s in self._shortcuts] != list(table):
            for old in self._shortcuts:
                old.setEnabled(False)
                old.deleteLater()
            self._shortcuts = []
            for key, command in table.items():
                shortcut = QShortcut(QKeySequence(key), self)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(command)
                self._shortcuts.append(shortcut)

    def _show_spent(self) -> None:
        store = self.session.store
        if store is None:
            self.spent.setText("")
            return
        lines = []
        for person in Records(store).spent():
            seconds = person.seconds
            if person.annotator == store.annotator:
                seconds += self.session.clock.seconds
            if person.labels or seconds >= 1:
                told = f"{person.annotator}: {person.labels:,} labels in {time_in_words(seconds)}"
                lines.append(told)
        self.spent.setText("<br>".join(lines))

    def _apply_theme(self, event: Any = None) -> None:
        self.project.set_colors(colors_of(self._viewer))
