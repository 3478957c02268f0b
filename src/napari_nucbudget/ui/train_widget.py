"""The dock "Teach nuclei": from labels to a model that is better on this tissue."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QApplication, QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.learn.run_folder import RunFolder, TrainingPlan, plan_training
from napari_nucbudget.models.library import load_card
from napari_nucbudget.project import ProjectStore, Records
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.progress import time_in_words
from napari_nucbudget.types.training import EpochReport
from napari_nucbudget.ui.catalogue import Catalogue
from napari_nucbudget.ui.column import Column
from napari_nucbudget.ui.jobs import Job, in_words
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.split_table import SplitRow, SplitTable
from napari_nucbudget.ui.theme import colors_of
from napari_nucbudget.ui.train_curves import TrainCurves
from napari_nucbudget.ui.train_form import TrainForm
from napari_nucbudget.ui.train_outcome import TrainOutcome
from napari_nucbudget.ui.training_labels import (
    images_trained_on,
    new_run_folder,
    unlabelled_of,
    written_run,
)
from napari_nucbudget.ui.training_process import (
    TrainingProcess,
    can_go_on,
    has_model,
    reports_of,
)
from napari_nucbudget.ui.words import Words

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["TrainWidget"]

REFRESH_MS = 300


class TrainWidget(QWidget):
    """Dock widget; napari makes it with the viewer."""

    def __init__(self, napari_viewer: Viewer, catalogue: Catalogue | None = None) -> None:
        super().__init__()
        self.session = session = Session.of(napari_viewer)
        self._viewer = session.viewer
        self._plan: TrainingPlan | None = None
        self._trained: TrainingPlan | None = None
        self._record: int | None = None
        self._paused = self._crashed = False
        self._stale = True  # the plan, while the dock is hidden
        self._parent_model = ""
        self._then_train = True
        self.form = TrainForm(session, catalogue or Catalogue())
        self.split = SplitTable()
        self.curves = TrainCurves(colors_of(napari_viewer))
        self.outcome = TrainOutcome(session)
        self.process = TrainingProcess(self)
        self.job = Job(self)
        self._build()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(REFRESH_MS)
        self._connect()
        self._apply_theme()
        session.join(self)
        session.open_existing()
        self._project_changed()

    def _build(self) -> None:
        self.told = Words()
        self.problem = Words()
        self.error = Words()
        self.status = Words()
        for label in (self.told, self.problem, self.error, self.status):
            label.setWordWrap(True)
        self.error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.error.setAccessibleName("Error")
        self.train = QPushButton("&Fine-tune on my labels")
        self.train.setToolTip("Train on the labels as they are now; annotating can go on.")
        self.copy = QPushButton("Copy as &command")
        self.copy.setToolTip("Write the labels into a folder, and copy the line that trains on it.")
        self.pause = QPushButton("&Pause")
        self.pause.setToolTip("Stop for now; Continue goes on from the last point of the curve.")
        self.cancel = QPushButton("&Cancel")
        self.cancel.setToolTip("Stop for good; the best weights so far are kept.")
        self.bar = QProgressBar()
        self.bar.setToolTip("Steps that are done.")
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.train, 1)
        second.addWidget(self.copy, 1)
        second.addWidget(self.pause)
        second.addWidget(self.cancel)
        Column.fill(
            self,
            (
                *(self.form, self.split, self.told, self.problem, first, second, self.bar),
                *(self.status, self.error, self.curves, self.outcome),
            ),
        )

    def _connect(self) -> None:
        self._later.timeout.connect(self._refresh_if_seen)
        self.session.project_changed.connect(self._project_changed)
        for signal in (self.session.image_changed, self.session.nuclei_changed, self.form.changed):
            signal.connect(self._soon)
        self.session.failed.connect(self._show_error)
        self.train.clicked.connect(lambda: self._write(then_train=True))
        self.copy.clicked.connect(lambda: self._write(then_train=False))
        self.pause.clicked.connect(self._pause)
        self.cancel.clicked.connect(self._cancel)
        self.split.split_chosen.connect(self._mark)
        self.split.patient_typed.connect(self._name_patient)
        self.job.finished.connect(self._written)
        self.job.failed.connect(self._show_error)
        self.process.reported.connect(self._report)
        self.process.ended.connect(self._ended)
        self.outcome.failed.connect(self._show_error)
        self.outcome.told.connect(self.status.setText)
        self.outcome.kept.connect(lambda name: self.form.offer())
        self.outcome.kept.connect(lambda name: self.session.models_changed.emit())
        self.outcome.applied.connect(self.form.choose)
        self._viewer.events.theme.connect(self._apply_theme)

    def event(self, event: QEvent) -> bool:
        """A dock that was closed gives its widget up: training stops, and can be continued.

        One that comes to the front plans what was not planned while it was hidden.
        """
        if event.type() == QEvent.Type.ParentChange and hasattr(self, "job"):
            if self.parent() is None:
                self._stop_for_now()
                self.job.close()
                self.outcome.leave()
            else:
                self._later.start()
        elif event.type() == QEvent.Type.Show and self._stale:
            self.refresh()
        return super().event(event)

    # -- before training

    def _soon(self, *_: Any) -> None:
        self._later.start()

    def _mark(self, image: int, split: str) -> None:
        self.session.edit(lambda store: store.describe_image(image, split=split))
        self._later.start()

    def _name_patient(self, image: int, patient: str) -> None:
        self.session.edit(lambda store: store.describe_image(image, patient=patient))
        self._later.start()

    def _refresh_if_seen(self) -> None:
        """Plan anew where a person can see it: that reads all images of the project."""
        if self.isVisible():
            self.refresh()
        else:
            self._stale = True
            self._update()

    def refresh(self) -> None:
        """Plan anew: what would be trained on, and what is too few."""
        self._stale = False
        store = self.session.store
        self._plan, problem = None, "Open an image and label some nuclei first."
        if store is not None:
            try:
                self._plan = plan_training(self._labels(store), **self._chosen())
                problem = self._plan.problem
            except NucbudgetError as error:
                problem = str(error)
            self.split.show_rows(self._rows(store))
        else:
            self.split.show_rows(())
        self.split.setVisible(bool(self.split.rows))
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.told.setText("" if self._plan is None or problem else self._plan.told)
        self.told.setVisible(bool(self.told.text()))
        self._update()

    def _chosen(self) -> dict[str, Any]:
        form = self.form
        return {"task": form.task, "parent": form.parent_model, "settings": form.settings}

    def _labels(self, store: ProjectStore) -> LabelSet:
        return store.label_set(self.session.open_source)

    def _rows(self, store: ProjectStore) -> list[SplitRow]:
        held = () if self._plan is None else {image.patient for image in self._plan.validation}
        rows = []
        for image in store.images:
            fields = store.fields(image.id)
            nuclei = store.nuclei(image.id, which="human")
            if not len(nuclei) and not fields:
                continue
            typed = int((nuclei.label >= 0).sum())
            known = image.patient if image.patient != "unknown" else f"image {image.name}"
            used = "validation" if image.split == "train" and known in held else image.split
            told = f"{len(fields)} field{'s' * (len(fields) != 1)}, {len(nuclei):,} dots"
            if self.form.task == "classification":
                told = f"{typed:,} with a class"
            rows.append(SplitRow(image.id, image.name, image.patient, told, image.split, used))
        return rows

    # -- a run

    def _write(self, *, then_train: bool) -> None:
        """Write what is trained on, in a thread; the labels are those of this moment."""
        self._show_error(None)
        store = self.session.store
        if store is None:
            return
        self._later.stop()
        self.refresh()
        if self._plan is None or self._plan.problem:
            return
        chosen = self._chosen()
        self._parent_model = chosen["parent"]
        self._then_train = then_train
        folder = new_run_folder(store, chosen["task"])
        typing = chosen["task"] == "classification"
        try:
            more = unlabelled_of(self.session, store) if typing else None
            labels = self._labels(store)
        except NucbudgetError as error:
            self._show_error(error)
            return
        self.status.setText("Writing the labels…")
        self.job.start(partial(written_run, labels, more, chosen, folder))
        self._update()

    def _written(self, made: tuple[TrainingPlan, RunFolder]) -> None:
        plan, run = made
        if not self._then_train:
            QApplication.clipboard().setText(run.command)
            self.status.setText("The command is in the clipboard; its labels lie in its folder.")
            self._update()
            return
        self._trained = plan
        self.curves.set_reports([])  # not those of the run before
        self.outcome.setVisible(False)
        store = self.session.store
        if store is not None and not store.read_only:
            facts = {
                "task": plan.task,
                "parent": self._parent_model,
                "arguments": list(run.arguments),
                "settings": dict(plan.settings),
                "images": images_trained_on(store, plan),
            }
            self._record = Records(store).start_run(str(run.folder), facts)
        self._train_on(run)

    def _train_on(self, run: RunFolder) -> None:
        self._paused = self._crashed = False
        self._show_error(None)
        self.process.start(run)
        self.status.setText("Starting…")
        self._update()

    def _report(self, report: EpochReport) -> None:
        self.curves.add(report)
        self._show_steps(report)
        left = report.seconds / report.step * (report.steps - report.step)
        score = report.validation.get("f1")
        told = f"Step {report.step:,} of {report.steps:,}, {time_in_words(left)} left"
        self.status.setText(told if score is None else f"{told}, validation F1 {score:.3f}")

    def _show_steps(self, last: EpochReport) -> None:
        self.bar.setRange(0, last.steps)
        self.bar.setValue(last.step)

    def _pause(self) -> None:
        if self.process.running:
            self._paused = True
            self.process.stop()
        elif self.process.run is not None:
            self._train_on(self.process.run)

    def _cancel(self) -> None:
        self._paused = self._crashed = False
        if self.process.running:
            self.process.stop()
        else:  # paused, cut off, or found unfinished
            self._ended("stopped")

    def _stop_for_now(self) -> None:
        if self.process.running:
            self._paused = True
            self.process.stop()

    def _ended(self, how: str) -> None:
        run = self.process.run
        assert run is not None
        if how == "stopped" and self._paused:
            self.status.setText("Paused. Continue goes on from the last point of the curve.")
            self._update()
            return
        if how == "failed":
            self._show_error(self.process.error)
        self.status.setText({"done": "Done.", "stopped": "Cancelled."}.get(how, ""))
        model = run.model if has_model(run.model) else None
        state = {"done": "done", "stopped": "cancelled"}.get(how, "failed")
        store = self.session.store
        if self._record is not None and store is not None and not store.read_only:
            result = {"model": str(model) if model else None}
            if model is not None:
                result["weights_sha256"] = load_card(model).weights_sha256
            Records(store).end_run(self._record, state, result)  # type: ignore[arg-type]
        self._crashed = self._paused = how == "failed" and can_go_on(run)
        if not self._crashed:
            self._record = None
        if model is not None:
            self.form.add_own(model)
            self.outcome.show_model(model, self._trained, self._parent_model)
        elif how == "stopped":
            self.status.setText("Cancelled before there were weights to keep.")
            self.outcome.show_again()
        self.refresh()

    # -- runs of before

    def _project_changed(self) -> None:
        """Another project: its last run, if it was cut off, can be continued."""
        self._stop_for_now()
        self.job.cancel()  # labels of the former project
        self._record, self.process.run, self._paused = None, None, False
        self._trained, self._crashed = None, False
        self.status.setText("")
        self.curves.set_reports([])
        self.outcome.forget()
        self.form.offer()
        store = self.session.store
        # One that is read only is open elsewhere, where its last training may well be running.
        runs = [] if store is None or store.read_only else Records(store).runs()
        if runs and runs[0].ended is None and Path(runs[0].folder).is_dir():
            unfinished = runs[0]
            self._record, self._paused = unfinished.id, True
            self._parent_model = str(unfinished.config.get("parent", ""))
            arguments = tuple(unfinished.config.get("arguments", ()))
            self.process.run = RunFolder(Path(unfinished.folder), arguments)
            reports = reports_of(self.process.run)
            self.curves.set_reports(reports)
            when = time.strftime("%d %B, %H:%M", time.localtime(unfinished.started))
            step = f" at step {reports[-1].step:,}" if reports else ""
            self.status.setText(f"The training of {when} was cut off{step}: continue or cancel it.")
            if reports:
                self._show_steps(reports[-1])
        self._refresh_if_seen()

    # -- looks

    def _show_error(self, error: BaseException | None) -> None:
        self.error.setText("" if error is None else in_words(error))
        self.error.setVisible(error is not None)
        if error is not None:
            self.status.setText("")  # what it said has not come to be
        self._update()

    def _update(self) -> None:
        running, writing = self.process.running, self.job.running
        waiting = self._paused and self.process.run is not None
        ready = self._plan is not None and not self._plan.problem
        idle = not (running or writing or (waiting and not self._crashed))
        read_only = self.session.read_only
        self.train.setEnabled(ready and idle and not read_only)
        self.copy.setEnabled(ready and not writing)
        self.pause.setEnabled(running or waiting)
        self.pause.setText("&Pause" if running or not waiting else "&Continue")
        self.cancel.setEnabled(running or waiting)
        self.bar.setVisible(running or waiting)
        if running and not self.curves.reports:
            self.bar.setRange(0, 1)  # not (0, 0): what moves has the whole canvas drawn with it
            self.bar.setValue(0)
        self.error.setVisible(bool(self.error.text()))

    def _apply_theme(self, event: Any = None) -> None:
        colors = colors_of(self._viewer)
        self.error.setStyleSheet(f"color: {colors.error};")
        self.problem.setStyleSheet(f"color: {colors.ask};")
        self.curves.set_colors(colors)
