"""Reading a file of points into the project, after its open questions were answered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.bridge.project_import import (
    Imported,
    ImportPlan,
    import_points,
    iter_read,
    likely_image,
    misfits,
    new_classes,
    outside,
)
from napari_nucbudget.io.formats import FORMATS
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.nuclei import HUMAN
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui.jobs import Job
from napari_nucbudget.ui.words import Words, plain, shortened

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["ImportPanel"]

BY_NAME = "by its name"
LEAVE_OUT = "(leave out)"
ADD, NO_CLASS = "add it to the project", "no class"
MERGE, REPLACE = "Add to the nuclei that are there", "Replace the nuclei of the image"
REMARKS_SHOWN = 8


class ImportPanel(QWidget):
    """Reads in a thread, shows what the file holds, asks, and imports as one step of undo."""

    failed = Signal(object)
    """An error to show in words; None takes the last one back."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._points: list[PointsFile] = []
        self._answered: dict[str, Any] = {}
        self._name = ""
        self.targets: list[QComboBox] = []
        self.answers: dict[str, QComboBox] = {}
        self.job = Job(self)
        self._build()
        self.browse.clicked.connect(self._ask_file)
        self.browse_folder.clicked.connect(self._ask_folder)
        self.read.clicked.connect(self._read)
        self.path.returnPressed.connect(self._read)
        self.path.textChanged.connect(self._update)
        self.take.clicked.connect(self._take)
        self.job.progressed.connect(self._show_progress)
        self.job.finished.connect(self._show)
        self.job.failed.connect(self._fail)
        session.image_changed.connect(self._questions)
        session.nuclei_changed.connect(self._follow_classes)
        session.project_changed.connect(self._ask_anew)
        self._show([])

    def _build(self) -> None:
        self.path = QLineEdit()
        self.path.setPlaceholderText("a file or folder of nuclei")
        self.path.setToolTip("Nuclei in any format that is written here, and CRCHistoPhenotypes.")
        self.browse = QPushButton("&File…")
        self.browse.setToolTip("Choose a file of nuclei.")
        self.browse_folder = QPushButton("F&older…")
        self.browse_folder.setToolTip("Choose a label set folder, or one of CRCHistoPhenotypes.")
        self.format = QComboBox()
        self.format.addItem(BY_NAME, None)
        for name in FORMATS:
            if FORMATS[name].read is not None:
                self.format.addItem(FORMATS[name].title, name)
        self.format.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.format.setMinimumContentsLength(16)
        self.format.setToolTip("How the file is to be understood.")
        self.read = QPushButton("&Read")
        self.read.setToolTip("Look into the file; nothing is imported yet.")
        self.found = QGroupBox("In the file")
        self.content = Words()
        self.content.setWordWrap(True)
        self.warning = Words()
        self.warning.setWordWrap(True)
        self._target_form, self._class_form = QFormLayout(), QFormLayout()
        self.mode = QComboBox()
        self.mode.addItems((MERGE, REPLACE))
        self.mode.setToolTip(
            "Adding, nuclei at the same place count once, and a person's dot answers an open "
            "proposal. Both are one step of undo."
        )
        self.skip = QCheckBox("Leave out nuclei outside the image")
        self.take = QPushButton("&Import")
        self.take.setToolTip("Bring the nuclei into the project; Ctrl+Z takes all of it back.")
        self.status = Words()
        self.status.setWordWrap(True)
        places = QHBoxLayout()
        for button in (self.browse, self.browse_folder, self.read):
            places.addWidget(button)
        form = QFormLayout()
        form.addRow("Format", self.format)
        inside = QVBoxLayout(self.found)
        inside.addWidget(self.content)
        inside.addLayout(self._target_form)
        inside.addLayout(self._class_form)
        inside.addWidget(self.warning)
        inside.addWidget(self.mode)
        inside.addWidget(self.skip)
        inside.addWidget(self.take)
        column = QVBoxLayout(self)
        column.addWidget(self.path)
        column.addLayout(form)
        column.addLayout(places)
        column.addWidget(self.found)
        column.addWidget(self.status)
        column.addStretch(1)

    # -- reading

    def _ask_file(self) -> None:
        suffixes = {s for n in FORMATS if FORMATS[n].read for s in FORMATS[n].suffixes if s}
        known = " ".join(f"*{suffix}" for suffix in sorted(suffixes))
        path, _ = QFileDialog.getOpenFileName(
            self, "Import nuclei", self.path.text(), f"Nuclei ({known});;All files (*)"
        )
        self._read_path(path)

    def _ask_folder(self) -> None:
        self._read_path(QFileDialog.getExistingDirectory(self, "Import nuclei", self.path.text()))

    def _read_path(self, path: str) -> None:
        if path:
            self.path.setText(path)
            self._read()

    def _read(self) -> None:
        self.failed.emit(None)
        self.status.setText("")
        self._show([])
        path = Path(self.path.text().strip()).expanduser()
        if self.path.text().strip():
            self._name = path.name
            self.job.start(partial(iter_read, path, self.format.currentData()))
            self._update()

    def _show_progress(self, progress: Progress) -> None:
        self.status.setText(progress.message)

    def _fail(self, error: BaseException) -> None:
        self.status.setText("")
        self.failed.emit(error)
        self._update()

    # -- what is in it, and what has to be answered

    def _show(self, points: Sequence[PointsFile]) -> None:
        self._points, self.targets, self._answered = list(points), [], {}
        self.status.setText("")
        self.found.setVisible(bool(points))
        if points:
            self.content.setText(_content(points))
            self._ensure()
        self._questions()

    def _ensure(self) -> None:
        """Nuclei can only go into an image that the project knows."""
        session = self._session
        if session.current is not None and session.image is None and not session.read_only:
            session.ensure()

    def _ask_anew(self) -> None:
        """Another project has other images and classes."""
        self.targets, self._answered = [], {}
        self._questions()

    def _follow_classes(self, notes: Any) -> None:
        """What is asked of a class, and can be answered, is another with other classes."""
        if self._points and (notes is None or any(note.classes for note in notes)):
            self._questions()

    def _questions(self) -> None:
        """One row for each image of the file, and for each class that the project lacks.

        What was chosen in one that was there before stays chosen: another layer is no answer.
        """
        for number, box in enumerate(self.targets):
            if box.currentData() is not None:
                self._answered[f"image {number}"] = box.currentData()
        answered = dict(self._answered)
        for form in (self._target_form, self._class_form):
            while form.rowCount():
                form.removeRow(0)
        self.targets, self.answers = [], {}
        store = self._session.store
        if self._points and store is not None:
            for each in self._points:
                box = _box([LEAVE_OUT, *(image.name for image in store.images)])
                for at, image in enumerate(store.images, start=1):
                    box.setItemData(at, image.id)
                box.setToolTip("The image of the project that these nuclei lie on.")
                likely = likely_image(store, each)
                if likely is None and len(self._points) == 1 and not each.image:
                    likely = self._session.image
                box.setCurrentIndex(max(box.findData(likely), 0) if likely is not None else 0)
                self._keep_answer(box, f"image {len(self.targets)}", answered)
                name = shortened(each.image or "Nuclei", 24)
                self._target_form.addRow(plain(f"{name} →"), box)
                self.targets.append(box)
            names = store.classes.names
            for one in new_classes(self._points, store.classes):
                box = _box([ADD, *(f"are {name}" for name in names), NO_CLASS])
                for at, answer in enumerate((*names, ""), start=1):
                    box.setItemData(at, answer)
                box.setToolTip(f"The project has no class {one.name!r}.")
                self._keep_answer(box, f"class {one.name}", answered)
                name = shortened(one.name, 24)
                self._class_form.addRow(plain(f"New class {name!r}:"), box)
                self.answers[one.name] = box
        self._update()

    def _keep_answer(self, box: QComboBox, question: str, answered: dict[str, Any]) -> None:
        """Give a box the answer of before, and remember what is chosen from now on."""
        if question in answered and (at := box.findData(answered[question])) >= 0:
            box.setCurrentIndex(at)

        def remember() -> None:
            self._answered[question] = box.currentData()
            self._update()

        box.currentIndexChanged.connect(remember)

    def _update(self, *_: Any) -> None:
        store = self._session.store
        running = self.job.running
        self.read.setEnabled(bool(self.path.text().strip()) and not running)
        chosen = [box.currentData() for box in self.targets]
        told: list[str] = []
        beyond = 0
        for each, image in zip(self._points, chosen, strict=False):
            if store is not None and image is not None:
                told += misfits(store, each, image)
                beyond += outside(store, each, image)
            told += each.remarks
        if self._points and not any(image is not None for image in chosen):
            told.insert(0, "Open the image that these nuclei lie on, or choose it above.")
        if beyond:
            told.append(f"Nuclei outside the image: {beyond:,}.")
        if len(told) > REMARKS_SHOWN:
            told = [*told[:REMARKS_SHOWN], f"… and {len(told) - REMARKS_SHOWN} more."]
        self.warning.setText("<br>".join(told))
        self.warning.setVisible(bool(told))
        self.skip.setVisible(bool(beyond))
        writable = store is not None and not self._session.read_only
        self.take.setEnabled(writable and any(image is not None for image in chosen))

    def plan(self) -> ImportPlan:
        """What the controls say."""
        return ImportPlan(
            targets=[box.currentData() for box in self.targets],
            classes={name: box.currentData() for name, box in self.answers.items()},
            replace=self.mode.currentText() == REPLACE,
            skip_outside=self.skip.isChecked(),
            reading=self._session.reading,
        )

    # -- importing

    def _take(self) -> None:
        self.failed.emit(None)
        points, plan, name = self._points, self.plan(), self._name
        errors: list[BaseException] = []
        remember = errors.append
        self._session.failed.connect(remember)
        done = self._session.edit(lambda store: import_points(store, points, plan, name=name))
        self._session.failed.disconnect(remember)
        if errors:  # what was undone meanwhile counts as a change, and would have hidden it
            self.failed.emit(errors[-1])
        if done is not None:
            self._show([])
            self.status.setText(_told(done, name))


def _box(items: list[str]) -> QComboBox:
    box = QComboBox()
    box.addItems(items)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    return box


def _content(points: Sequence[PointsFile]) -> str:
    """How many nuclei of whom and of which classes a file holds."""
    total = sum(len(each.nuclei) for each in points)
    human = sum(int((each.nuclei.origin == HUMAN).sum()) for each in points)
    classes: dict[str, int] = {}
    for each in points:
        for name, count in each.nuclei.counts().items():
            if count:
                classes[name] = classes.get(name, 0) + count
    fields = sum(len(each.fields) for each in points)
    sizes = sorted({f"{each.mpp:.4g}" for each in points if each.mpp is not None})
    lines = [
        f"<b>{total:,} nuclei</b> of {_images(len(points))}: {human:,} of people, "
        f"{total - human:,} proposals."
    ]
    if classes:
        lines.append(", ".join(f"{name} {count:,}" for name, count in classes.items()) + ".")
    facts = [f"{', '.join(sizes)} µm/px"] if sizes else []
    facts += [f"{fields:,} field{'' if fields == 1 else 's'}"] if fields else []
    if facts:
        lines.append("; ".join(facts) + ".")
    return "<br>".join(lines)


def _images(count: int) -> str:
    return "an image" if count == 1 else f"{count:,} images"


def _told(done: Imported, name: str) -> str:
    parts = [
        f"{count:,} {words}{'s' if count > 1 else ''}"
        for count, words in (
            (done.human, "dot"),
            (done.proposed, "proposal"),
            (done.fields, "field"),
        )
        if count
    ]
    sentences = [f"From {name}: {', '.join(parts) or 'nothing new'}."]
    if done.answered:
        sentences.append(f"Open proposals that its dots answered: {done.answered:,}.")
    if done.same:
        sentences.append(f"There already: {done.same:,}.")
    return " ".join([*sentences, *done.remarks])
