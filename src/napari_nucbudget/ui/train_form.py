"""The questions of the dock "Teach nuclei": what to train, from which model, how long."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QSpinBox, QWidget

from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.learn.run_folder import Task
from napari_nucbudget.learn.transfer import CLASSIFIER, FINE_TUNE_DETECTOR
from napari_nucbudget.models.library import DEFAULT_DETECTOR, load_card
from napari_nucbudget.project import Records
from napari_nucbudget.types.card import ModelCard
from napari_nucbudget.ui.catalogue import Catalogue

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["LADDER", "TrainForm"]

TASKS: dict[str, Task] = {"find nuclei (detector)": "detection", "type nuclei": "classification"}
LADDER = "Γ-ladder, with unlabelled nuclei"


class TrainForm(QWidget):
    """Reads its controls into `task`, `parent_model` and `settings`."""

    changed = Signal()

    def __init__(self, session: Session, catalogue: Catalogue) -> None:
        super().__init__()
        self._session = session
        self._catalogue = catalogue
        self._own: list[Path] = []
        self._offered = ""
        self.what = QComboBox()
        self.what.addItems(list(TASKS))
        self.what.setToolTip(
            "A detector learns from fields in which every nucleus is dotted, a classifier from "
            "nuclei that have a class."
        )
        self.start = QComboBox()
        self.start.setToolTip(
            "The model whose weights are trained on. The Γ-ladder starts afresh, and learns from "
            "unanswered proposals of all open images too."
        )
        self.start.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.start.setMinimumContentsLength(14)
        self.steps = QSpinBox()
        self.steps.setRange(1, 100_000)
        self.steps.setSingleStep(100)
        self.steps.setToolTip("Length of the training; the default suits most label sets.")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("&Learn to", self.what)
        form.addRow("St&art from", self.start)
        form.addRow("&Steps", self.steps)
        self.what.currentIndexChanged.connect(lambda: self.offer())
        self.start.activated.connect(lambda: self._default_steps())
        self.steps.valueChanged.connect(lambda: self.changed.emit())
        self.offer()

    @property
    def task(self) -> Task:
        return TASKS[self.what.currentText()]

    @property
    def parent_model(self) -> str:
        """Name or folder of the model to start from; empty for the Γ-ladder."""
        return str(self.start.currentData() or "")

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the defaults."""
        return {} if self.steps.value() == self._usual() else {"steps": self.steps.value()}

    def add_own(self, folder: Path) -> None:
        """Offer a model that was trained in this project, in this session."""
        if folder not in self._own:
            self._own.append(folder)
        self.offer()

    def choose(self, model: str) -> None:
        """Start from this model, a name or a folder; as the picker's present choice."""
        at = self.start.findData(model)
        if at >= 0:
            self.start.setCurrentIndex(at)
            self._default_steps()

    def offer(self) -> None:
        """Offer the models for the task as they are now, the one in use chosen."""
        self._catalogue.refresh()
        chosen, ladder = self.parent_model, self.start.currentText() == LADDER
        before = (self._offered, chosen, ladder)
        self.start.blockSignals(True)
        self.start.clear()
        for name in self._catalogue.names(self.task):
            self.start.addItem(name, name)
        for folder, card in self._cards_of_own():
            if card.task == self.task:
                self.start.addItem(f"{card.name} (new)", str(folder))
        if self.task == "classification":
            self.start.addItem(LADDER, "")
        if ladder and self.task == "classification":
            self.start.setCurrentText(LADDER)
        for wanted in () if ladder else (chosen, self._in_use(), DEFAULT_DETECTOR):
            if wanted and (at := self.start.findData(wanted)) >= 0:
                self.start.setCurrentIndex(at)
                break
        self.start.blockSignals(False)
        self._offered = self.task
        if (self.task, self.parent_model, self.start.currentText() == LADDER) == before:
            self.changed.emit()  # the steps that were typed still fit
        else:
            self._default_steps()

    def _cards_of_own(self) -> list[tuple[Path, ModelCard]]:
        """Models that were trained here; a person may have deleted their folders since."""
        found = []
        for folder in self._own:
            with suppress(NucbudgetError):
                found.append((folder, load_card(folder)))
        self._own = [folder for folder, _ in found]
        return found

    def _in_use(self) -> str:
        """The model that was applied last."""
        store = self._session.store
        used = [] if store is None else [m for m in Records(store).models() if m.task == self.task]
        return used[-1].name if used else ""

    def _usual(self) -> int:
        if self.task == "detection":
            return int(FINE_TUNE_DETECTOR["steps"])
        return int(CLASSIFIER["fine-tune" if self.parent_model else "gamma-ladder"]["steps"])

    def _default_steps(self) -> None:
        self.steps.blockSignals(True)
        self.steps.setValue(self._usual())
        self.steps.blockSignals(False)
        self.changed.emit()
