"""Writing nuclei: which ones, in which format, where, and what that format cannot hold."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
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

from napari_nucbudget.bridge.project_export import (
    ExportRequest,
    Written,
    file_name,
    iter_export,
)
from napari_nucbudget.bridge.project_points import project_points
from napari_nucbudget.errors import NucbudgetError, OutputError
from napari_nucbudget.io.formats import FORMATS, with_suffix_of
from napari_nucbudget.project import ProjectStore
from napari_nucbudget.project.reading import Which
from napari_nucbudget.project.recovery import data_folder
from napari_nucbudget.types.labels import Provenance
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui.jobs import Job
from napari_nucbudget.ui.words import Words

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["ExportPanel"]

THIS, ALL, SELECTED = "This image", "All images of the project", "Selected nuclei"
CHOICES: dict[str, Which] = {
    "All, open proposals too": "visible",
    "Set or accepted by people": "human",
    "Accepted proposals": "accepted",
    "Open proposals": "proposed",
}
LABEL_SET = "label-set"
SOON_MS = 200
LARGEST_WHOLE_PX = 50_000_000
"""Above, a label set takes fields alone unless a person says otherwise: it holds PNG images."""


class ExportPanel(QWidget):
    """Reads its controls into an `ExportRequest` and writes in a thread."""

    failed = Signal(object)
    """An error to show in words; None takes the last one back."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._suggested = ""
        self.job = Job(self)
        self._build()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON_MS)
        self._soon.timeout.connect(self._refresh_if_seen)
        self.format.currentIndexChanged.connect(self._follow_format)
        for box in (self.scope, self.which, self.format):
            box.currentIndexChanged.connect(self.refresh)
        self.path.textChanged.connect(self._update)
        self.browse.clicked.connect(self._ask)
        self.export.clicked.connect(self._start)
        self.cancel.clicked.connect(self.job.cancel)
        self.job.progressed.connect(self._show_progress)
        self.job.finished.connect(self._finish)
        self.job.failed.connect(self._fail)
        self.job.cancelled.connect(self._cancelled)
        for signal in (session.project_changed, session.image_changed, session.nuclei_changed):
            signal.connect(self.refresh_soon)
        session.views.selection_changed.connect(self.refresh_soon)
        self.refresh()

    def _build(self) -> None:
        self.scope = QComboBox()
        self.scope.addItems((THIS, ALL, SELECTED))
        self.scope.setToolTip("Nuclei of which images.")
        self.which = QComboBox()
        self.which.addItems(list(CHOICES))
        self.which.setToolTip("Dots of people, proposals of models, or both.")
        self.format = QComboBox()
        for name in FORMATS:
            if FORMATS[name].write is not None:
                self.format.addItem(FORMATS[name].title, name)
        self.format.setToolTip("The kind of file; docs/file-formats.md compares them.")
        for box in (self.scope, self.which, self.format):
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.setMinimumContentsLength(16)
        self.what = Words()
        self.what.setWordWrap(True)
        self.what.setAccessibleName("What the file will hold")
        self.training = self._training()
        self.path = QLineEdit()
        self.path.setToolTip("The file, or the folder.")
        self.browse = QPushButton("…")
        self.browse.setToolTip("Choose where.")
        self.browse.setMaximumWidth(36)
        self.replace = QCheckBox("&Replace files that exist")
        self.export = QPushButton("&Export")
        self.export.setToolTip("Write the nuclei; the project stays as it is.")
        self.cancel = QPushButton("&Cancel")
        self.cancel.setToolTip("Stop after the file that is being written.")
        self.status = Words()
        self.status.setWordWrap(True)
        form = QFormLayout()
        form.addRow("&Nuclei of", self.scope)
        form.addRow("&Which", self.which)
        form.addRow("&Format", self.format)
        place = QHBoxLayout()
        place.addWidget(self.path, 1)
        place.addWidget(self.browse)
        buttons = QHBoxLayout()
        buttons.addWidget(self.export, 1)
        buttons.addWidget(self.cancel)
        to = QFormLayout()
        to.addRow("&To", place)
        to.labelForField(place).setBuddy(self.path)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.what)
        column.addWidget(self.training)
        column.addLayout(to)
        column.addWidget(self.replace)
        column.addLayout(buttons)
        column.addWidget(self.status)
        column.addStretch(1)

    def _training(self) -> QGroupBox:
        box = QGroupBox("Training data")
        self.crops = QCheckBox("Each field as an image of its &own")
        self.crops.setToolTip(
            "Write the declared fields alone, rather than the whole image with its fields."
        )
        self.licence = QLineEdit()
        self.licence.setPlaceholderText("unknown")
        self.cite = QLineEdit()
        self.notes = QLineEdit()
        for line, words in (
            (self.licence, "Licence of images and labels; goes into the cards of models."),
            (self.cite, "What to cite for these data."),
            (self.notes, "Who labelled, how, and what else should be known."),
        ):
            line.setToolTip(words)
        form = QFormLayout(box)
        form.addRow(self.crops)
        form.addRow("Licence", self.licence)
        form.addRow("Cite", self.cite)
        form.addRow("Notes", self.notes)
        return box

    # -- what is chosen

    @property
    def _format(self) -> str:
        return str(self.format.currentData())

    @property
    def _which(self) -> Which:
        return "human" if self._format == LABEL_SET else CHOICES[self.which.currentText()]

    def _images(self) -> tuple[int, ...]:
        store, image = self._session.store, self._session.image
        if store is None:
            return ()
        if self.scope.currentText() == ALL:
            return tuple(each.id for each in store.images)
        return () if image is None else (image,)

    def _ids(self) -> Any:
        """Ids of the selected nuclei where those are wanted, else None."""
        if self.scope.currentText() != SELECTED:
            return None
        view = self._session.views.of()
        return np.zeros(0, np.int64) if view is None else view.selected

    @property
    def _one_file(self) -> bool:
        return self._format == LABEL_SET or self.scope.currentText() != ALL

    def problem(self) -> str:
        """Why nothing can be exported now; empty where it can."""
        session = self._session
        if session.current is None and session.store is None:
            return "Open an image, or a project in the annotate dock, first."
        if session.store is None:
            return "No project is open: keep proposals or set a dot, and one is started."
        if not self._images():
            return "This image has no nuclei in the project yet."
        if self.scope.currentText() == SELECTED and not len(self._ids()):
            return "No nucleus is selected: click one, or choose other nuclei."
        return ""

    def request(self) -> ExportRequest:
        """What the controls say.

        Raises
        ------
        NucbudgetError
            Where that cannot be written.
        """
        if problem := self.problem():
            raise OutputError(problem)
        path = Path(self.path.text().strip()).expanduser()
        if not self.path.text().strip():
            raise OutputError("Say where to: type a file name, or choose one with '…'.")
        store, images = self._store(), self._images()
        sources = {}
        if self._format == LABEL_SET:
            for image in images:
                labelled = any(count.human for count in store.counts(image).values())
                if labelled or store.fields(image) or len(images) == 1:
                    sources[image] = self._session.open_source(store.image(image))
        given = Provenance(
            name=path.name,
            licence=self.licence.text().strip() or "unknown",
            cite=self.cite.text().strip(),
            notes=self.notes.text().strip(),
        )
        return ExportRequest(
            images=images,
            format=self._format,
            path=path,
            one_file=self._one_file,
            which=self._which,
            ids=self._ids(),
            reading=self._session.reading,
            replace=self.replace.isChecked(),
            crops=self.crops.isChecked(),
            provenance=given,
            sources=sources,
        )

    def _store(self) -> ProjectStore:
        assert self._session.store is not None
        return self._session.store

    # -- looks

    def refresh_soon(self, *_: Any) -> None:
        """Show the project as it is, once for many changes."""
        self._soon.start()

    def _refresh_if_seen(self) -> None:
        """Looking through a million nuclei after each edit is too slow for what nobody sees."""
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: Any) -> None:
        self.refresh()
        super().showEvent(event)

    def refresh(self, *_: Any) -> None:
        """Show what would be written now."""
        training = self._format == LABEL_SET
        self.training.setVisible(training)
        self.which.setEnabled(not training)
        problem = self.problem()
        self.what.setText(problem or self._content())
        if not problem:
            self._suggest()
        self._update()

    def _content(self) -> str:
        """How many nuclei there are, and what of them the format leaves out."""
        store, images = self._store(), self._images()
        kind = FORMATS[self._format]
        count = 0
        lost: dict[str, Any] = {}
        for image in images:
            points = project_points(
                store, image, which=self._which, ids=self._ids(), reading=self._session.reading
            )
            count += len(points.nuclei)
            lost |= dict.fromkeys([*kind.loses(points), *points.remarks])
        nuclei = "1 nucleus" if count == 1 else f"{count:,} nuclei"
        if self._format == "counts":
            return f"{nuclei}, counted per class and field: a table, no nuclei."
        remarks = [each for each in lost if each.endswith(".")]
        gone = [each for each in lost if not each.endswith(".")]
        text = f"{nuclei}. " + (f"<b>Not kept: {', '.join(gone)}.</b>" if gone else "All is kept.")
        if self._format == LABEL_SET:
            open_ = sum(len(store.proposals(image)) for image in images)
            text += f" Open proposals stay out: {open_:,}." if open_ else ""
        return " ".join([text, *remarks])

    def _suggest(self) -> None:
        """A place, until a person has typed another."""
        if self.path.text() not in ("", self._suggested):
            return
        store = self._store()
        folder = store.path.parent
        if folder.is_relative_to(data_folder()):  # of samples and arrays: nobody looks there
            folder = Path.home()
        image = store.image(self._images()[0])
        if not self._one_file:
            path = folder / f"{store.path.stem} nuclei"
        elif self._format == LABEL_SET and len(self._images()) > 1:
            path = folder / f"{store.path.stem} labels"
        elif self._format == LABEL_SET:
            path = folder / f"{file_name(image, self._format)} labels"
        else:
            path = folder / file_name(image, self._format)
        if str(path) == self._suggested == self.path.text():
            return  # what was ticked for it stays so
        self._suggested = str(path)
        self.path.setText(str(path))
        self.path.setToolTip(str(path))
        shape = image.shape
        self.crops.setChecked(shape[0] * shape[1] > LARGEST_WHOLE_PX)

    def _follow_format(self, *_: Any) -> None:
        """A typed name ends as files of the chosen format do, where it ended as another's."""
        typed = self.path.text()
        if typed not in ("", self._suggested) and self._one_file:
            path = with_suffix_of(typed, self._format)
            if path != Path(typed):
                self.path.setText(str(path))

    def _update(self, *_: Any) -> None:
        running = self.job.running
        self.export.setEnabled(not running and not self.problem())
        self.cancel.setEnabled(running)

    def _ask(self) -> None:
        dialog = QFileDialog(self, "Export to", self.path.text() or str(Path.home()))
        kind = FORMATS[self._format]
        if kind.folder or not self._one_file:
            dialog.setFileMode(QFileDialog.FileMode.Directory)
        else:
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
            dialog.setNameFilter(f"{kind.title} (*{kind.suffixes[0]})")
        if dialog.exec() and dialog.selectedFiles():
            self.path.setText(dialog.selectedFiles()[0])

    # -- writing

    def _start(self) -> None:
        self.failed.emit(None)
        self.status.setText("")
        try:
            request = self.request()
        except NucbudgetError as error:
            self.failed.emit(error)
            return
        self.job.start(partial(iter_export, self._store(), request))
        self._update()

    def _show_progress(self, progress: Progress) -> None:
        self.status.setText(progress.message)

    def _finish(self, written: Written) -> None:
        first = written.paths[0]
        several = f"{len(written.paths)} files in {first.parent.absolute()}"
        place = str(first.absolute()) if len(written.paths) == 1 else several
        nuclei = "1 nucleus" if written.nuclei == 1 else f"{written.nuclei:,} nuclei"
        self.status.setText(" ".join([f"{nuclei} written: {place}.", *written.remarks]))
        self._update()

    def _fail(self, error: BaseException) -> None:
        self.status.setText("")
        self.failed.emit(error)
        self._update()

    def _cancelled(self) -> None:
        self.status.setText("Cancelled.")
        self._update()
