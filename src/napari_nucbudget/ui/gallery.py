"""Crops of a class side by side, the least sure first: a wrong one gets its class by one key."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QKeyEvent, QPainter, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.bridge.crops import crop_side, crops
from napari_nucbudget.core.certainty import certainty
from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.types.classes import UNLABELLED
from napari_nucbudget.types.image import ImageSource
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui import keys
from napari_nucbudget.ui.dot_style import UNLABELLED_COLOR
from napari_nucbudget.ui.jobs import Job

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["MOST_CROPS", "Gallery"]

MOST_CROPS = 200
SIDE = 64
GAP = 6
BORDER = 3
ID = Qt.ItemDataRole.UserRole
WHICH = {"proposed": "proposed", "of people": "human", "all": "visible"}


class _Crops(QListWidget):
    """Hands letters to the gallery instead of searching for a text that begins with them."""

    pressed = Signal(str)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        parts = "Shift+" if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else ""
        if Qt.Key.Key_A <= event.key() <= Qt.Key.Key_Z and not (
            event.modifiers() & Qt.KeyboardModifier.ControlModifier
        ):
            self.pressed.emit(parts + chr(event.key()))
        else:
            super().keyPressEvent(event)


class Gallery(QWidget):
    """Crops of the current image; `chosen` gives the id of one that was clicked."""

    chosen = Signal(int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown = Nuclei.empty()
        self._asked: tuple[str, Any] = ("", "visible")  # class and kind of what is shown
        self.class_name = QComboBox()
        self.class_name.setToolTip("The class of which crops are shown.")
        self.which = QComboBox()
        self.which.addItems(list(WHICH))
        self.which.setToolTip("Proposals, nuclei that people set or accepted, or both.")
        self.order = QComboBox()
        self.order.addItems(["least sure first", "surest first"])
        self.order.setToolTip("Confidence: how sure the model is of the nucleus and its class.")
        self.fill = QPushButton("&Show crops")
        self.fill.setToolTip(f"Show up to {MOST_CROPS} crops as the nuclei are now.")
        self.list = _Crops()
        self.list.setViewMode(QListWidget.ViewMode.IconMode)
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.list.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.list.setMovement(QListWidget.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setGridSize(QSize(SIDE + GAP, SIDE + GAP))  # no line for a text below
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setToolTip(
            "Select crops, then press the key of their right class. K accepts, J rejects. A "
            "double click shows the nucleus in the image."
        )
        self.status = QLabel("Choose a class, then 'Show crops'.")
        self.status.setWordWrap(True)
        row = QHBoxLayout()
        for box in (self.class_name, self.which):
            row.addWidget(box, 1)
        second = QHBoxLayout()
        second.addWidget(self.order, 1)
        second.addWidget(self.fill, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addLayout(second)
        layout.addWidget(self.status)
        layout.addWidget(self.list, 1)
        self.job = Job(self)
        self.job.progressed.connect(self._add_new)
        self.job.finished.connect(self._done)
        self.job.failed.connect(session.failed)
        self.fill.clicked.connect(self.show_crops)
        self.list.pressed.connect(self.press)
        self.list.itemDoubleClicked.connect(lambda item: self.chosen.emit(item.data(ID)))
        session.nuclei_changed.connect(self._changed)
        session.image_changed.connect(self.clear)
        self.refresh()

    def refresh(self) -> None:
        """The classes of the project, the chosen one kept."""
        store = self._session.store
        names = [] if store is None else [*store.classes.names, UNLABELLED]
        if names != [self.class_name.itemText(i) for i in range(self.class_name.count())]:
            now = self.class_name.currentText()
            self.class_name.clear()
            self.class_name.addItems(names)
            self.class_name.setCurrentText(now if now in names else (names or [""])[0])
        self.fill.setEnabled(self._session.image is not None)

    def clear(self) -> None:
        self.job.cancel()
        self.list.clear()
        self._shown = Nuclei.empty()
        self.refresh()

    def show_crops(self) -> None:
        """Cut the crops, beside the window."""
        store, image = self._session.store, self._session.image
        if store is None or image is None:
            return
        self.clear()
        name = self.class_name.currentText()
        which: Any = WHICH[self.which.currentText()]
        self._asked = name, which
        nuclei = store.nuclei(image, which=which, reading=self._session.reading)
        nuclei = nuclei.select(nuclei.label == nuclei.classes.index(name))
        order = np.argsort(certainty(nuclei), kind="stable")
        if self.order.currentIndex() == 1:
            order = order[::-1]
        total = len(nuclei)
        self._shown = nuclei.select(order[:MOST_CROPS])
        self.status.setText(f"{len(self._shown):,} of {total:,} {name}")
        try:
            source = self._session.open_source(store.image(image))
        except NucbudgetError as error:
            self._session.failed.emit(error)
            return
        self._waiting: list[NDArray[np.uint8]] = []
        side = crop_side(source.mpp)
        self.job.start(partial(_cut, source, self._shown.yx, side, self._waiting))

    def _add_new(self, report: Any = None) -> None:
        """Show what was cut since the last time."""
        colors = {c.name: c.color for c in self._shown.classes.classes}
        color = colors.get(self._asked[0], UNLABELLED_COLOR)
        for row in range(self.list.count(), len(self._waiting)):
            item = QListWidgetItem(_icon(self._waiting[row], color), "")
            item.setData(ID, int(self._shown.id[row]))
            item.setToolTip(f"score {self._shown.score[row]:.2f}")
            self.list.addItem(item)

    def _done(self, count: Any = None) -> None:
        self._add_new()

    def selected(self) -> list[int]:
        """Ids of the selected crops."""
        return [item.data(ID) for item in self.list.selectedItems()]

    def press(self, key: str) -> None:
        """Answer for the selected crops with the key of a class, or of accept or reject."""
        store, ids = self._session.store, self.selected()
        if store is None or not ids:
            return
        own = keys.settings()
        names = {key: name for name, key in keys.class_keys(store.classes).items()}
        if key == own["accept"]:
            self._session.edit(lambda store: store.accept(ids))
        elif key == own["reject"]:
            self._session.edit(lambda store: store.delete(ids))
        elif key in names:
            self._session.edit(lambda store: store.relabel(ids, names[key]))

    def _changed(self, notes: Any) -> None:
        """Take out crops that do not belong here any more."""
        self.refresh()
        store, image = self._session.store, self._session.image
        if store is None or image is None or not self.list.count():
            return
        if notes is not None and not any(image in note.nuclei or note.classes for note in notes):
            return
        name, which = self._asked
        reading, ids = self._session.reading, self._shown.id
        nuclei = store.nuclei(image, which=which, ids=ids, reading=reading)
        wanted = nuclei.classes.names
        label = nuclei.classes.index(name) if name in (*wanted, UNLABELLED) else -2
        left = set(nuclei.id[nuclei.label == label].tolist())
        for row in range(self.list.count()):
            item = self.list.item(row)
            item.setHidden(item.data(ID) not in left)
            if item.isHidden():
                item.setSelected(False)


def _cut(
    source: ImageSource, yx: NDArray[Any], side: int, into: list[NDArray[np.uint8]]
) -> Generator[int, None, int]:
    for count, crop in enumerate(crops(source, yx, side), start=1):
        into.append(crop)
        yield count
    return len(into)


def _icon(crop: NDArray[np.uint8], color: str) -> QIcon:
    pixels = np.ascontiguousarray(crop)
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    framed = QPixmap(SIDE, SIDE)
    framed.fill(QColor(color))
    inner = SIDE - 2 * BORDER
    painter = QPainter(framed)
    painter.drawImage(
        BORDER,
        BORDER,
        image.scaled(
            inner,
            inner,
            Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        ),
    )
    painter.end()
    return QIcon(framed)
