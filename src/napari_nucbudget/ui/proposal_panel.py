"""Answering proposals: one after the other, all on screen, or all above a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QGroupBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.ui import actions, keys
from napari_nucbudget.ui.proposal_walk import ORDERS, ProposalWalk

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["ProposalPanel"]


class ProposalPanel(QGroupBox):
    """The walk through the proposals of the current image."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Proposals", parent)
        self._session = session
        self.walk = ProposalWalk(session)
        self.left = QLabel()
        self.left.setWordWrap(True)
        self.previous = QPushButton("&Previous")
        self.next = QPushButton("&Next")
        self.order = QComboBox()
        self.order.addItems(ORDERS)
        self.order.setToolTip("Which proposal comes next.")
        self.accept = QPushButton("A&ccept")
        self.reject = QPushButton("Re&ject")
        self.in_view = QPushButton("Accept all on &screen")
        self.above = QPushButton("Accept all &from")
        self.above.setToolTip("Accept every proposal of the image with at least this score.")
        self.score = QDoubleSpinBox()
        self.score.setRange(0.0, 1.0)
        self.score.setSingleStep(0.05)
        self.score.setValue(0.9)
        self.score.setToolTip("Lowest score.")
        self.go_on = QCheckBox("Go on after an answer")
        self.go_on.setChecked(True)
        self.go_on.setToolTip("Show the next proposal once the one in the middle is answered.")
        self.faint = QCheckBox("Unsure ones faint")
        self.faint.setToolTip("Draw proposals the fainter, the lower their score.")
        self.snap = QCheckBox("Snap to nuclei")
        self.snap.setChecked(session.snap)
        self.snap.setToolTip(
            "A dot goes to the nearest peak of the detector's map, where a run has kept one."
        )
        grid = QGridLayout()
        places = [
            (self.previous, 0, 0), (self.next, 0, 1), (self.accept, 1, 0), (self.reject, 1, 1),
            (self.in_view, 2, 0), (self.order, 2, 1), (self.above, 3, 0), (self.score, 3, 1),
            (self.go_on, 4, 0), (self.faint, 4, 1), (self.snap, 5, 0),
        ]  # fmt: skip
        for widget, row, column in places:
            grid.addWidget(widget, row, column)
        layout = QVBoxLayout(self)
        layout.addWidget(self.left)
        layout.addLayout(grid)

        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.walk.next)
        self.next.clicked.connect(self.show_next)
        self.previous.clicked.connect(self.walk.previous)
        self.order.currentTextChanged.connect(self._reorder)
        self.accept.clicked.connect(lambda: actions.accept_selected(session))
        self.reject.clicked.connect(lambda: actions.delete_selected(session))
        self.in_view.clicked.connect(lambda: actions.accept_in_view(session))
        self.above.clicked.connect(lambda: actions.accept_above(session, self.score.value()))
        self.faint.toggled.connect(self._set_faint)
        self.snap.toggled.connect(self._set_snap)
        session.nuclei_changed.connect(self._answered)
        session.image_changed.connect(self.walk.restart)
        self.refresh()

    def show_next(self) -> None:
        """Show the next proposal, or say that there is none."""
        there = "" if self.walk.region is None else " in the field"
        if self.walk.next() is None and not self._session.reading:
            self.left.setText(f"Every proposal{there} is answered.")

    def refresh(self) -> None:
        store, image = self._session.store, self._session.image
        left = 0
        if store is not None and image is not None:
            left = sum(count.proposed for count in store.counts(image).values())
        own = keys.settings()
        for button, name, text in (
            (self.next, "next_proposal", "Show the next proposal in the middle of the screen."),
            (self.previous, "previous_proposal", "Show the one before again."),
            (self.accept, "accept", "The selected proposals are nuclei of their class."),
            (self.reject, "reject", "The selected ones are no nuclei; not proposed again."),
            (self.in_view, "accept_in_view", "Accept every proposal on screen."),
        ):
            button.setToolTip(f"{text} Key {own[name]}.")
        self.left.setText(
            f"{left:,} to be answered" if left else "No proposal waits for an answer."
        )
        writable = store is not None and not self._session.read_only
        for button in (self.next, self.in_view, self.above):
            button.setEnabled(bool(left) and (writable or button is self.next))
        self.previous.setEnabled(store is not None)
        for button in (self.accept, self.reject):
            button.setEnabled(writable)

    def _reorder(self, order: str) -> None:
        self.walk.order, region = order, self.walk.region
        self.walk.restart()
        self.walk.region = region

    def _set_faint(self, on: bool) -> None:
        for view in self._session.views:
            view.set_by_score(on)

    def _set_snap(self, on: bool) -> None:
        self._session.snap = on

    def _answered(self, notes: Any) -> None:
        """Go on where the proposal in the middle has got its answer."""
        store, image, current = self._session.store, self._session.image, self.walk.current
        if notes is None or current is None or image is None or not self.go_on.isChecked():
            return
        # Where many are answered at once, the person still looks at them: the camera stays.
        alone = [note.nuclei[image] for note in notes if len(note.nuclei.get(image, ())) == 1]
        if store is None or not any(current in ids for ids in alone):
            return
        if not len(store.nuclei(image, which="proposed", ids=np.array([current]))):
            self._soon.start(0)
