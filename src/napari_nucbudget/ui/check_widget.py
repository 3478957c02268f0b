"""The dock "Check nuclei": models against the dots that people set in fields."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_nucbudget.errors import LabelSetError, NucbudgetError
from napari_nucbudget.infer.check import ErrorKind, ModelCheck
from napari_nucbudget.infer.evaluate import PAPER_RADIUS_UM
from napari_nucbudget.models.library import DEFAULT_DETECTOR, load_card
from napari_nucbudget.project import Note, ProjectImage, Records
from napari_nucbudget.types.labels import AnnotatedImage
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui.catalogue import Catalogue
from napari_nucbudget.ui.cautions import cautions
from napari_nucbudget.ui.check_record import checked, dots_tag, last_checked, note_check
from napari_nucbudget.ui.column import Column
from napari_nucbudget.ui.confusion_table import ConfusionTable
from napari_nucbudget.ui.detect_widget import DetectWidget
from napari_nucbudget.ui.error_walk import ErrorWalk
from napari_nucbudget.ui.jobs import Job, in_words
from napari_nucbudget.ui.plot import Plot
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.theme import colors_of
from napari_nucbudget.ui.words import Words, shortened

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["CheckWidget"]

KINDS: tuple[ErrorKind, ...] = ("missed", "false", "mistyped")
NONE = "none"
SCOPES = ("current image", "all images of the project")
LIVE_MS = 120


class CheckWidget(QWidget):
    """Dock widget; napari makes it with the viewer."""

    def __init__(self, napari_viewer: Viewer, catalogue: Catalogue | None = None) -> None:
        super().__init__()
        self.session = session = Session.of(napari_viewer)
        self._viewer = session.viewer
        self._catalogue = catalogue or Catalogue()
        self._images: tuple[ProjectImage, ...] = ()
        self._fields = 0
        self._checked_dots = ""
        self._stale = self._look = False
        self._asked: tuple[tuple[str, str], ...] = ()
        self._last_used: dict[str, str] = {}
        self.check_result: ModelCheck | None = None
        self.threshold = 0.5
        self._walked_at: float | None = None  # threshold of the errors that are walked through
        self.job = Job(self)
        self.walk = ErrorWalk(session)
        colors = colors_of(napari_viewer)
        self.curve = Plot(colors, "recall", unit=True)
        self.confusion = ConfusionTable()
        self._build()
        self._live = QTimer(self)
        self._live.setSingleShot(True)
        self._live.setInterval(LIVE_MS)
        self._connect()
        self._apply_theme()
        session.join(self)
        session.open_existing()
        self._offer()

    def _build(self) -> None:
        self.detector, self.classifier = QComboBox(), QComboBox()
        self.detector.setToolTip("The detector that is checked, at every threshold.")
        self.classifier.setToolTip("Types the dots that have a class, to compare both.")
        for box in (self.detector, self.classifier):
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.setMinimumContentsLength(14)
        self.scope = QComboBox()
        self.scope.addItems(SCOPES)
        self.scope.setToolTip("Whose fields count; dots outside fields never do.")
        self.radius = QDoubleSpinBox()
        self.radius.setRange(0.5, 20.0)
        self.radius.setSingleStep(0.5)
        self.radius.setSuffix(" µm")
        self.radius.setValue(PAPER_RADIUS_UM)
        self.radius.setToolTip("A proposal this near to a dot is a hit, one to one.")
        form = QFormLayout()
        form.addRow("&Detector", self.detector)
        form.addRow("C&lassifier", self.classifier)
        form.addRow("Fields &of", self.scope)
        form.addRow("&Radius", self.radius)
        self.check = QPushButton("&Check against my dots")
        self.check.setToolTip("Run the models in the fields, and compare them with the dots.")
        self.cancel = QPushButton("Ca&ncel")
        self.cancel.setToolTip("Give the check up.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.check, 1)
        buttons.addWidget(self.cancel)
        self.bar = QProgressBar()
        self.before = Words()
        self.before.setToolTip("The latest check of this project; the next one takes its place.")
        self.error, self.scores, self.warnings = Words(), Words(), Words()
        self.types, self.found = Words(), Words()
        for label in (self.before, self.error, self.scores, self.warnings, self.types, self.found):
            label.setWordWrap(True)
        self.error.setAccessibleName("Error")
        self.curve.setToolTip(
            "Precision over recall at every threshold. Drag the point, or use the arrow keys: the "
            "threshold of the dock Detect nuclei follows."
        )
        self.kind = QComboBox()
        self.kind.addItems(KINDS)
        self.kind.setToolTip("Missed dots, proposals without a dot, dots of another class.")
        self.previous, self.next = QPushButton("&Previous"), QPushButton("Ne&xt")
        self.previous.setToolTip("The error before, in the middle of the screen.")
        self.next.setToolTip("The next error, in the middle of the screen.")
        walk = QHBoxLayout()
        walk.addWidget(self.kind, 1)
        walk.addWidget(self.previous)
        walk.addWidget(self.next)
        self.errors_title = QLabel("Errors")
        self._results = (
            *(self.scores, self.warnings, self.curve, self.types, self.confusion),
            *(self.errors_title, self.kind, self.previous, self.next, self.found),
        )
        Column.fill(
            self,
            (
                *(form, buttons, self.bar, self.error, self.before),
                *(self.scores, self.curve, self.types),
                *(self.confusion, self.errors_title, walk, self.found, self.warnings),
            ),
        )

    def _connect(self) -> None:
        self.check.clicked.connect(self._start)
        self.cancel.clicked.connect(self.job.cancel)
        self.job.progressed.connect(self._progress)
        self.job.finished.connect(self._show)
        self.job.failed.connect(self._show_error)
        self.job.cancelled.connect(self._update)
        self.curve.moved.connect(self._moved)
        self._live.timeout.connect(self._show_at_threshold)
        self.kind.currentTextChanged.connect(self._walk_kind)
        self.next.clicked.connect(lambda: self._step(1))
        self.previous.clicked.connect(lambda: self._step(-1))
        self.confusion.cell_chosen.connect(self._walk_cell)
        self.session.project_changed.connect(self._forget)
        self.session.models_changed.connect(self._offer)
        self.session.nuclei_changed.connect(self._changed)
        self.session.failed.connect(self._show_error)
        self._viewer.events.theme.connect(self._apply_theme)

    def event(self, event: QEvent) -> bool:
        """A dock that was closed gives its widget up; one that is looked at knows new models."""
        if event.type() == QEvent.Type.ParentChange and hasattr(self, "_live"):
            if self.parent() is None:
                self.job.close()
                self.walk.end()
        elif event.type() == QEvent.Type.Show:
            self._offer()
        return super().event(event)

    def _offer(self) -> None:
        """Offer the models as they are now, those in use chosen; not while a check runs."""
        if self.job.running:
            return
        self._catalogue.refresh()
        store = self.session.store
        used = [] if store is None else Records(store).models()
        for box, task in ((self.detector, "detection"), (self.classifier, "classification")):
            chosen = box.currentData()
            box.clear()
            if task == "classification":
                box.addItem(NONE, "")
            for name in self._catalogue.names(task):
                box.addItem(name, name)
            for model in used:
                if model.task == task and model.path and box.findText(model.name) < 0:
                    box.addItem(model.name, model.path)
            last = next((m.name for m in reversed(used) if m.task == task), DEFAULT_DETECTOR)
            if last != self._last_used.get(task):  # applied since: that is what is to be checked
                self._last_used[task], chosen = last, None
            at = box.findData(chosen) if chosen else box.findText(last)
            box.setCurrentIndex(max(at, 0))
        self._update()

    # -- a check

    def _start(self) -> None:
        self._show_error(None)
        session = self.session
        try:
            image = session.ensure()
            store = session.store
            if store is None or image is None:
                return
            wanted = [i for i in store.images if self.scope.currentIndex() or i.id == image]
            pairs = [
                (
                    i,
                    AnnotatedImage(
                        session.open_source(i),
                        store.nuclei(i.id, which="human"),
                        tuple(field.region for field in store.fields(i.id)),
                    ),
                )
                for i in wanted
                if store.fields(i.id)
            ]
            if not pairs:
                raise LabelSetError(
                    "There is no field to check against: dot every nucleus of a region, and "
                    "declare it under Fields in the annotate dock."
                )
            if not any(len(annotated.in_fields()) for _, annotated in pairs):
                raise LabelSetError(
                    "There is no dot in the fields, so nothing could be found or missed: dot every "
                    "nucleus of a region that has some, and declare it under Fields."
                )
            for _, annotated in pairs:
                _ = annotated.mpp  # says what is missing, before any work
        except NucbudgetError as error:
            self._show_error(error)
            return
        self._images = tuple(i for i, _ in pairs)
        self._fields = sum(len(annotated.fields) for _, annotated in pairs)
        self._checked_dots = dots_tag(store, self._images)
        boxes = (self.detector, self.classifier)
        self._asked = tuple((b.currentText(), b.currentData()) for b in boxes if b.currentData())
        self.job.start(
            partial(
                checked,
                [annotated for _, annotated in pairs],
                self.detector.currentData(),
                self.classifier.currentData(),
                self.radius.value(),
            )
        )
        self.bar.setRange(0, 0)
        self._update()

    def _progress(self, progress: Progress) -> None:
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(progress.fraction * 1000))

    def _show(self, check: ModelCheck) -> None:
        store = self.session.store
        if store is None:
            return
        self.check_result = check
        curve = check.curve
        points = list(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True))
        self.curve.set_lines({"precision": points})
        self.threshold = check.threshold
        if points:
            at = max(0, int((curve.threshold >= check.threshold).sum()) - 1)
            self.curve.set_point(at)
        cards = [load_card(model) for _, model in self._asked]
        told = cautions(check, cards, self._images, store)
        names = [name for name, _ in self._asked]
        note_check(self.session, check, self._fields, dict(zip(names, cards, strict=True)))
        self._look, self._walked_at = True, None
        self.warnings.setText("".join(f"<p>⚠ {sentence}</p>" for sentence in told))
        self._show_types(check)
        self._show_at_threshold()
        self._update()

    def _show_types(self, check: ModelCheck) -> None:
        types = check.types()
        if types is None:
            self.types.setText("")
            self.confusion.clear_counts()
            return
        low, high = types.weighted_f1_ci
        interval = f" [{low:.2f}, {high:.2f}]" if types.images > 1 else ""
        self.types.setText(
            f"Classes of {types.nuclei:,} dots: weighted F1 {types.weighted_f1:.3f}{interval}, "
            f"accuracy {types.accuracy:.3f}. Rows: your classes; columns: the model's. Click a "
            "number to see its nuclei."
        )
        self.confusion.show_counts(types.confusion, list(types.class_f1))

    def _moved(self, index: int) -> None:
        """Another operating point: figures at once, errors and interval a moment later."""
        assert self.check_result is not None
        self.threshold = float(self.check_result.curve.threshold[index])
        for widget in self._viewer.window.dock_widgets.values():
            if isinstance(widget, DetectWidget) and widget.tuned_for == self._asked[0][0]:
                widget.take_threshold(self.threshold)
        self._live.start()

    def _show_at_threshold(self) -> None:
        check = self.check_result
        if check is None:
            return
        store = self.session.store
        if self._look and store is not None:
            self._look = False
            self._stale = dots_tag(store, self._images) != self._checked_dots
        scores = check.scores(self.threshold)
        low, high = scores.f1_ci
        interval = f"95 % interval {low:.2f} to {high:.2f}"
        if scores.images == 1:
            interval = "one image gives no interval"
        stale = "<br>Dots or fields have changed since: check once more." if self._stale else ""
        self.scores.setText(
            f"<b>{shortened(self._asked[0][0])}: F1 {scores.f1:.3f}</b> ({interval})<br>"
            f"precision {scores.precision:.3f}, recall {scores.recall:.3f}<br>"
            f"threshold {self.threshold:.2f}, radius {scores.radius_um:g} µm<br>"
            f"{scores.nuclei:,} dots in {scores.images} image{'s' * (scores.images != 1)}; "
            f"best F1 {scores.best.f1:.3f} at {scores.best.threshold:.2f}{stale}"
        )
        if self._walked_at != self.threshold:  # a correction does not begin the walk anew
            self._walk_kind()

    def _changed(self, notes: tuple[Note, ...] | None) -> None:
        """Look whether the dots and fields are still those that were checked."""
        if self.check_result is not None:
            self._look = True
            self._live.start()

    # -- errors

    def _walk_kind(self, *_: Any) -> None:
        if self.check_result is None:
            return
        self._walked_at = self.threshold
        kind = KINDS[self.kind.currentIndex()]
        found = self.check_result.errors(kind, self.threshold)
        self.walk.start(found, tuple(image.id for image in self._images))
        self.found.setText(f"{len(found):,} {kind}.")
        self._update()

    def _walk_cell(self, truth: int, given: int) -> None:
        if self.check_result is None:
            return
        found = self.check_result.cell(truth, given)
        self.walk.start(found, tuple(image.id for image in self._images))
        self.walk.select()
        names = self.confusion.names
        self.found.setText(f"{len(found):,} {names[truth]} that are called {names[given]}.")
        self._update()

    def _step(self, by: int) -> None:
        found = self.walk.step(by)
        if found is not None:
            self.found.setText(f"{self.walk.at + 1} of {len(self.walk.findings)}: {found.told}")

    def _forget(self) -> None:
        self.job.cancel()
        self.walk.end()
        self.check_result = None
        self._offer()

    # -- looks

    def _show_error(self, error: BaseException | None) -> None:
        self.error.setText("" if error is None else in_words(error))
        self.error.setVisible(error is not None)
        self._update()

    def _update(self) -> None:
        running, checked = self.job.running, self.check_result is not None
        self.before.setText(last_checked(self.session.store))
        self.before.setVisible(bool(self.before.text()) and not checked)
        self.check.setEnabled(not running and self.session.current is not None)
        self.cancel.setEnabled(running)
        self.bar.setVisible(running)
        self.error.setVisible(bool(self.error.text()))
        for part in self._results:
            part.setVisible(checked)
        typed = bool(self.types.text())
        self.types.setVisible(checked and typed)
        self.confusion.setVisible(checked and typed)
        for button in (self.next, self.previous):
            button.setEnabled(bool(self.walk.findings))

    def _apply_theme(self, event: Any = None) -> None:
        colors = colors_of(self._viewer)
        self.error.setStyleSheet(f"color: {colors.error};")
        self.warnings.setStyleSheet(f"color: {colors.ask};")
        self.curve.set_colors(colors)
