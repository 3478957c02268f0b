"""Which project is open, who annotates, and what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.project import SUFFIX, bring_back
from napari_nucbudget.ui.jobs import in_words
from napari_nucbudget.ui.theme import Colors
from napari_nucbudget.ui.words import Words, shortened

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["ProjectPanel"]

FILTER = f"Projects (*{SUFFIX})"


class ProjectPanel(QWidget):
    """The head of a dock that works on a project."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.state = Words()
        self.state.setWordWrap(True)
        self.start = QPushButton("S&tart")
        self.open = QPushButton("&Open…")
        self.open.setToolTip("Open a project, or start one in another place.")
        self.close_ = QPushButton("Close")
        self.close_.setToolTip("Close the project. Everything is on disk already.")
        self.changed = QPushButton("Use the changed file")
        self.changed.setToolTip("The nuclei keep their places, though the file is another one.")
        self.bring = QPushButton("&Bring the other copy back")
        self.bring.setToolTip("Put it in the place of this project, which is kept beside it.")
        self.annotator = QLineEdit()
        self.annotator.setPlaceholderText("your name")
        self.annotator.setToolTip("Who annotates; every dot remembers it.")
        self.told = Words()
        self.error = Words()
        self.error.setAccessibleName("Error")
        for label in (self.told, self.error):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setVisible(False)
        grid = QGridLayout()
        grid.addWidget(self.start, 0, 0)
        grid.addWidget(self.open, 0, 1)
        grid.addWidget(self.close_, 0, 2)
        grid.addWidget(QLabel("Annotator"), 1, 0)
        grid.addWidget(self.annotator, 1, 1, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.state)
        layout.addLayout(grid)
        layout.addWidget(self.changed)
        layout.addWidget(self.bring)
        layout.addWidget(self.told)
        layout.addWidget(self.error)
        self.start.clicked.connect(self._start)
        self.open.clicked.connect(self._ask)
        self.close_.clicked.connect(session.close_project)
        self.changed.clicked.connect(self._use_changed)
        self.bring.clicked.connect(self._bring_back)
        self.annotator.editingFinished.connect(self._name)
        session.told.connect(self._tell)
        session.failed.connect(self.show_error)
        session.nuclei_changed.connect(self._went_well)
        for signal in (session.project_changed, session.image_changed, session.annotator_changed):
            signal.connect(self.refresh)
        self.refresh()

    def set_colors(self, colors: Colors) -> None:
        self.error.setStyleSheet(f"color: {colors.error};")
        self.told.setStyleSheet(f"color: {colors.ask};")

    def refresh(self) -> None:
        session, store = self._session, self._session.store
        if store is None:
            place = session.suggested()
            self.state.setText(
                "Open an H&E image: drop a file here."
                if place is None
                else "No project is open. The first label starts one."
            )
            self.start.setToolTip(f"Open or start {place}." if place else "Open an image first.")
            self.told.setVisible(False)
        else:
            only = " (read only)" if store.read_only else ""
            self.state.setText(
                f"<b>{shortened(store.path.stem)}</b>{only}, {_images(len(store.images))}"
            )
            self.state.setToolTip(str(store.path))
            self.start.setToolTip("Enter the current image into the project, to label it.")
        new = session.current is not None and session.image is None
        self.start.setText("Add this &image" if store is not None and new else "S&tart")
        self.start.setEnabled(new and not session.read_only)
        self.close_.setEnabled(store is not None)
        self.bring.setVisible(store is not None and store.left_copy is not None)
        self.changed.setVisible(session.changed_image is not None)
        if not self.annotator.hasFocus():
            self.annotator.setText(session.annotator)

    def show_error(self, error: BaseException | None) -> None:
        """Show what went wrong, in words; None hides it."""
        self.error.setText("" if error is None else in_words(error))
        self.error.setVisible(error is not None)

    def _went_well(self, notes: Any = None) -> None:
        self.show_error(None)

    def _tell(self, sentence: str) -> None:
        self.told.setText(sentence)
        self.told.setVisible(True)

    def _start(self) -> None:
        self.show_error(None)
        self._session.ensure()

    def _ask(self) -> None:
        place = self._session.suggested()
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Open or start a project",
            str(place or Path.home()),
            FILTER,
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self.open_path(Path(path))

    def open_path(self, path: Path) -> None:
        """Open a project, or start one where there is none; the suffix is added."""
        self.show_error(None)
        if path.suffix != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
        self._session.open(path)

    def _use_changed(self) -> None:
        image, layer = self._session.changed_image, self._session.current
        if image is not None and layer is not None:
            self.show_error(None)
            self._session.relink(layer, image, accept_changed=True)

    def _bring_back(self) -> None:
        """Go on with what was done while the folder could not be written."""
        session, store = self._session, self._session.store
        if store is None or store.left_copy is None:
            return
        path, failed = store.path, None
        session.close_project()
        try:
            told = bring_back(path)
        except NucbudgetError as error:
            told, failed = "", error
        if session.open(path) and told:
            self._tell(told)
        if failed is not None:
            self.show_error(failed)

    def _name(self) -> None:
        if self.annotator.text().strip() != self._session.annotator:
            self._session.set_annotator(self.annotator.text(), reading=self._session.reading)


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
