"""What to do with a trained model: compare it, apply it, keep it, or go back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QGroupBox,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_nucbudget.errors import LabelSetError, NucbudgetError, OutputError
from napari_nucbudget.infer.classify import evaluate_classifier
from napari_nucbudget.infer.evaluate import evaluate_detector
from napari_nucbudget.learn.run_folder import TrainingPlan
from napari_nucbudget.models.library import keep_model, load_card, load_classifier, load_detector
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui.apply_model import Application, apply, commit, prepare
from napari_nucbudget.ui.jobs import Job
from napari_nucbudget.ui.words import Words, shortened

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["TrainOutcome"]

Scores = dict[str, str]


class TrainOutcome(QGroupBox):
    """Before and after, and the buttons that use the model."""

    failed = Signal(object)
    told = Signal(str)
    applied = Signal(str)
    """A model is in use now; also the former one, after a roll back."""
    kept = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__("Trained model")
        self._session = session
        self._model: Path | None = None
        self._parent_model = ""
        self._asked: Application | None = None
        self._undo_label: str | None = None
        self.scores_job = Job(self)
        self.apply_job = Job(self)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Held out", "Before", "After"])
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setMaximumHeight(140)
        self.table.setToolTip("Both models on the same images; brackets: 95 % interval.")
        self.note = Words()
        self.note.setWordWrap(True)
        self.view = QPushButton("Apply to &view")
        self.view.setToolTip("Use the new model on what is on screen. Ctrl+Z takes it back.")
        self.image = QPushButton("Apply to &image")
        self.image.setToolTip("Use the new model on the whole current image. Ctrl+Z takes it back.")
        self.name = QLineEdit()
        self.name.setPlaceholderText("name, such as my-detector")
        self.name.setToolTip("Under this name the model is offered everywhere, also in terminals.")
        self.keep = QPushButton("&Keep")
        self.keep.setToolTip("Copy the model into your folder of models.")
        self.back = QPushButton("&Roll back")
        self.back.setToolTip("Take the application back: what the model before had found returns.")
        grid = QGridLayout()
        grid.addWidget(self.view, 0, 0)
        grid.addWidget(self.image, 0, 1)
        grid.addWidget(self.back, 0, 2)
        grid.addWidget(self.name, 1, 0, 1, 2)
        grid.addWidget(self.keep, 1, 2)
        column = QVBoxLayout(self)
        column.addWidget(self.table)
        column.addWidget(self.note)
        column.addLayout(grid)
        self.view.clicked.connect(lambda: self._apply(whole=False))
        self.image.clicked.connect(lambda: self._apply(whole=True))
        self.keep.clicked.connect(self._keep)
        self.back.clicked.connect(self._roll_back)
        self.name.textChanged.connect(self._update)
        self.scores_job.finished.connect(self._show_scores)
        self.scores_job.failed.connect(self.failed)
        self.apply_job.finished.connect(self._applied)
        self.apply_job.failed.connect(self._apply_failed)
        self.setVisible(False)

    def leave(self) -> None:
        """End what runs."""
        self.scores_job.close()
        self.apply_job.close()

    def show_model(self, model: Path, plan: TrainingPlan | None, parent: str) -> None:
        """Offer a trained model, and compare it with its parent where images are held out."""
        self._model, self._parent_model = model, parent
        self._asked = None
        self.setVisible(True)
        self.setTitle(f"Trained model {shortened(load_card(model).name)}")
        self.table.setRowCount(0)
        self.table.setVisible(False)
        held = None if plan is None else plan.test if len(plan.test) else plan.validation
        if plan is None or not held:
            self.note.setText(
                "Nothing is held out, so that no figure can say whether the model is better: mark "
                "a labelled image as test before training, or look at the check dock."
            )
        else:
            how = "test images" if len(plan.test) else "validation images, which chose the weights"
            self.note.setText(f"Comparing on {len(held)} {how}…")
            self._how = how
            self.scores_job.start(partial(_compare, held, plan.task, parent, str(model)))
        self._update()

    def show_again(self) -> None:
        """Offer the model of before, where the training after it has left none."""
        self.setVisible(self._model is not None)

    def forget(self) -> None:
        """Offer nothing: the model belongs to another project."""
        self.apply_job.cancel()
        self._model = self._asked = None
        self.note.setText("")
        self.setVisible(False)

    def _show_scores(self, found: tuple[Scores, Scores, int]) -> None:
        before, after, images = found
        self.table.setVisible(True)
        self.table.setRowCount(len(after))
        for row, (name, value) in enumerate(after.items()):
            for column, text in enumerate((name, before.get(name, "–"), value)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(row, column, item)
        interval = "" if images > 1 else " One image gives no interval."
        self.note.setText(f"On {images} {self._how}.{interval}")

    def _apply(self, *, whole: bool, model: str = "") -> None:
        try:
            asked = prepare(self._session, model or str(self._model), whole=whole)
        except NucbudgetError as error:
            self.failed.emit(error)
            return
        self._asked = asked
        self.note.setText(f"Applying {load_card(asked.model).name}…")
        self.apply_job.start(partial(apply, asked))
        self._update()

    def _applied(self, nuclei: Any) -> None:
        asked, store = self._asked, self._session.store
        if asked is None:  # the project was closed meanwhile
            return
        before = None if store is None else store.revision
        count = commit(self._session, asked, nuclei)
        if count is None:
            self._asked = None
            self.note.setText("")
            self._update()
            return
        changed = store is not None and store.revision != before
        self._undo_label = store.undo_label if store is not None and changed else None
        if asked.model == self._parent_model:  # rolled back: further back there is nothing
            self._asked = None
        self.note.setText(f"{count:,} nuclei from {load_card(asked.model).name}.")
        self.applied.emit(asked.model)
        self._update()

    def _apply_failed(self, error: BaseException) -> None:
        self.note.setText("")
        self._asked = None
        self.failed.emit(error)
        self._update()

    def _roll_back(self) -> None:
        """Undo, where that was the last step; else what lay there is found anew by the parent."""
        store = self._session.store
        if store is None:
            return
        if self._undo_label is not None and store.undo_label == self._undo_label:
            self._session.undo()
            self.note.setText("Rolled back: the proposals and classes of before are there again.")
        elif self._parent_model:
            self._apply(whole=False, model=self._parent_model)
            return  # what it found is yet to come
        self._asked, self._undo_label = None, None
        self.applied.emit(self._parent_model)
        self._update()

    def _keep(self) -> None:
        try:
            place = keep_model(self._model or "", self.name.text())
        except (NucbudgetError, OutputError) as error:
            self.failed.emit(error)
            return
        self.told.emit(f"Kept as {place.name}; nucbudget models list shows it too.")
        self.kept.emit(place.name)

    def _update(self) -> None:
        busy = self.apply_job.running
        for button in (self.view, self.image):
            button.setEnabled(not busy and self._model is not None)
        self.back.setEnabled(not busy and self._asked is not None)
        self.keep.setEnabled(bool(self.name.text().strip()) and self._model is not None)


def _compare(
    held: LabelSet, task: str, before: str, after: str
) -> Generator[Progress, None, tuple[Scores, Scores, int]]:
    """Scores of both models on the held out images, as a table shows them."""
    score: Callable[[LabelSet, str], Generator[Progress, None, Scores]]
    score = _detector_scores if task == "detection" else _classifier_scores
    old: Scores = {}
    if before:
        try:
            old = yield from score(held, before)
        except LabelSetError:  # the parent knows other classes, so there is no "before"
            old = {}
    new = yield from score(held, after)
    return old, new, len(held)


def _detector_scores(labels: LabelSet, model: str) -> Generator[Progress, None, Scores]:
    scores = yield from evaluate_detector(labels, load_detector(model))
    return {
        f"F1 at {scores.radius_um:g} µm": _value(scores.f1, scores.f1_ci, scores.images),
        "precision": f"{scores.precision:.3f}",
        "recall": f"{scores.recall:.3f}",
        "threshold": f"{scores.threshold:.2f}",
    }


def _classifier_scores(labels: LabelSet, model: str) -> Generator[Progress, None, Scores]:
    scores = yield from evaluate_classifier(labels, load_classifier(model))
    weighted = _value(scores.weighted_f1, scores.weighted_f1_ci, scores.images)
    return {
        "weighted F1": weighted,
        "accuracy": f"{scores.accuracy:.3f}",
        **{f"F1 {name}": f"{value:.3f}" for name, value in scores.class_f1.items()},
    }


def _value(value: float, ci: tuple[float, float], images: int) -> str:
    return f"{value:.3f}" + (f" [{ci[0]:.2f}, {ci[1]:.2f}]" if images > 1 else "")
