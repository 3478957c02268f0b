"""Fields in which every nucleus is dotted, second readings of them, and how far two agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.bridge.layers import layer_transform
from napari_nucbudget.core.agreement import agreement
from napari_nucbudget.errors import NucbudgetError, ProjectError
from napari_nucbudget.project import Field
from napari_nucbudget.types.image import Region
from napari_nucbudget.ui.field_outlines import FieldOutlines
from napari_nucbudget.ui.slides import own_metadata
from napari_nucbudget.ui.viewport import (
    check_drawable,
    drawn_region,
    drawn_regions,
    visible_region,
)

if TYPE_CHECKING:
    from napari.layers import Shapes

    from napari_nucbudget.ui.proposal_walk import ProposalWalk
    from napari_nucbudget.ui.session import Session

__all__ = ["FieldPanel"]

AGREE_UM = 6.0
"""Dots of two people so near are the same nucleus (the radius of the paper's evaluation)."""


class FieldPanel(QWidget):
    """Draws and declares fields, and compares the readings of one."""

    def __init__(self, session: Session, walk: ProposalWalk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._walk = walk
        self._drawing: Shapes | None = None
        self._outlines = FieldOutlines(session)
        self._asked: Region | None = None
        about = QLabel("A field is a rectangle in which every nucleus has a dot.")
        about.setWordWrap(True)
        self.draw = QPushButton("&Draw a rectangle")
        self.draw.setToolTip("Drag a rectangle on the image, then 'Everything in it is dotted'.")
        self.declare = QPushButton("&Everything in it is dotted")
        self.declare.setToolTip("Make the drawn rectangle a field.")
        self.declare_view = QPushButton("All on &screen is dotted")
        self.declare_view.setToolTip("Make what is on screen a field.")
        self.unanswered = QPushButton()
        self.unanswered.setToolTip("Walk through the proposals in it that nobody has answered.")
        self.unanswered.setVisible(False)
        self.list = QListWidget()
        self.list.setToolTip("Fields of this image.")
        self.list.setMaximumHeight(140)
        self.remove = QPushButton("&Remove field")
        self.remove.setToolTip("Take the declaration back; its nuclei stay.")
        self.show_field = QPushButton("Sh&ow")
        self.show_field.setToolTip("Bring the field onto the screen.")
        self.who = QLineEdit()
        self.who.setPlaceholderText("name of the second person")
        self.who.setToolTip("Who dots the field a second time, without seeing the first dots.")
        self.reading = QSpinBox()
        self.reading.setRange(1, 255)
        self.reading.setToolTip("Number of the reading; each is independent of the others.")
        self.second = QPushButton("Start second reading")
        self.second.setCheckable(True)
        self.second.setToolTip("Hide the dots of others and set your own; click again to end.")
        self.compare = QPushButton("&Compare readings")
        self.compare.setToolTip(f"F1 (dots within {AGREE_UM:g} µm) and Cohen's kappa of classes.")
        self.result = QLabel()
        self.result.setWordWrap(True)
        grid = QGridLayout()
        places = [
            (self.draw, 0, 0), (self.declare, 0, 1), (self.declare_view, 1, 0),
            (self.unanswered, 1, 1),
        ]  # fmt: skip
        for widget, row, column in places:
            grid.addWidget(widget, row, column)
        second = QGridLayout()
        places = [
            (self.remove, 0, 0), (self.show_field, 0, 1), (self.who, 1, 0), (self.reading, 1, 1),
            (self.second, 2, 0), (self.compare, 2, 1),
        ]  # fmt: skip
        for widget, row, column in places:
            second.addWidget(widget, row, column)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(grid)
        layout.addWidget(self.list)
        layout.addLayout(second)
        layout.addWidget(self.result)
        layout.addStretch(1)
        self.draw.clicked.connect(self._start_drawing)
        self.declare.clicked.connect(self._declare_drawn)
        self.declare_view.clicked.connect(self._declare_view)
        self.unanswered.clicked.connect(self._walk_unanswered)
        self.remove.clicked.connect(self._remove)
        self.show_field.clicked.connect(self._show)
        self.second.toggled.connect(self._second)
        self.compare.clicked.connect(self._compare)
        self.list.currentRowChanged.connect(self._update)
        session.annotator_changed.connect(self._update)
        session.image_changed.connect(self._ask_no_more)
        self.refresh()

    # -- declaring

    def refresh(self) -> None:
        """Show the fields of the current image, and outline them on it."""
        store, image = self._session.store, self._session.image
        fields = () if store is None or image is None else store.fields(image)
        if list(fields) != self._fields():
            self.list.clear()
            for field in fields:
                r = field.region
                text = f"{r.width} x {r.height} px at x {r.x}, y {r.y}, {field.annotator}"
                item = QListWidgetItem(text)
                item.setData(256, field)
                self.list.addItem(item)
            if fields:
                self.list.setCurrentRow(len(fields) - 1)
        if self._session.removals.busy:  # no layer comes in while one is taken out
            QTimer.singleShot(0, self.refresh)
        else:
            self._outlines.show(fields)
        self._show_left()
        self._update()

    def _fields(self) -> list[Field]:
        return [self.list.item(i).data(256) for i in range(self.list.count())]

    @property
    def chosen(self) -> Field | None:
        item = self.list.currentItem()
        return None if item is None else item.data(256)

    def _update(self, *_: Any) -> None:
        session = self._session
        writable = session.store is not None and not session.read_only
        for button in (self.draw, self.declare, self.declare_view):
            button.setEnabled(session.current is not None and not session.read_only)
        self.remove.setEnabled(writable and self.chosen is not None)
        self.show_field.setEnabled(self.chosen is not None)
        self.compare.setEnabled(self.chosen is not None)
        self.second.setEnabled(writable)
        self.second.blockSignals(True)
        self.second.setChecked(session.reading > 0)
        self.second.setText("End second reading" if session.reading else "Start second reading")
        self.second.blockSignals(False)

    def _start_drawing(self) -> None:
        viewer, image = self._session.viewer, self._session.current
        if image is None:
            return
        try:
            check_drawable(viewer)
        except NucbudgetError as error:
            self._session.failed.emit(error)
            return
        if self._drawing is None or self._drawing not in viewer.layers:
            self._drawing = viewer.add_shapes(
                name="field to declare",
                face_color="transparent",
                edge_color="black",
                edge_width=3,
                metadata=own_metadata("field"),
                **layer_transform(image),
            )
        viewer.layers.selection.active = self._drawing
        self._drawing.mode = "add_rectangle"

    def _declare_drawn(self) -> None:
        viewer, image = self._session.viewer, self._session.current
        if image is None:
            return
        drawing = self._drawing if self._drawing in viewer.layers else None
        try:
            if drawing is not None and len(drawing.data):
                regions = drawn_regions(viewer, image, drawing)
            else:
                regions = [drawn_region(viewer, image)]
        except NucbudgetError as error:
            self._session.failed.emit(error)
            return
        done = 0
        while done < len(regions) and self.declare_region(regions[done]):
            done += 1
        if drawing is not None and done:
            self._take_away(drawing, done)

    def _take_away(self, drawing: Shapes, count: int) -> None:
        """Leave of the rectangles those that are no fields yet."""
        if count < len(drawing.data):
            drawing.selected_data = set(range(count))
            drawing.remove_selected()
        else:
            self._session.viewer.layers.remove(drawing)
            self._drawing = None

    def _declare_view(self) -> None:
        session = self._session
        if session.current is None:
            return
        try:
            region = visible_region(session.viewer, session.current)
        except NucbudgetError as error:
            session.failed.emit(error)
            return
        self.declare_region(region)

    def declare_region(self, region: Region) -> bool:
        """Make a region of the current image a field; unanswered proposals in it forbid that."""
        image = self._session.ensure()
        store = self._session.store
        if image is None or store is None:
            return False
        if any(field.region == region for field in store.fields(image)):
            self._session.failed.emit(ProjectError("This is a field of the image already."))
            return False
        field = self._session.edit(lambda store: store.add_field(image, region))
        left = 0 if field else len(store.proposals(image, region))
        self._asked = region if left else None
        self.refresh()
        return field is not None

    def _walk_unanswered(self) -> None:
        self._walk.restart()
        self._walk.region = self._asked
        self._walk.next()

    def _ask_no_more(self) -> None:
        """Another image has other proposals."""
        self._asked = None
        self._show_left()

    def _show_left(self) -> None:
        """Offer the walk to what was unanswered in the field, while something of it is."""
        store, image, left = self._session.store, self._session.image, 0
        if store is not None and image is not None and self._asked is not None:
            left = len(store.proposals(image, self._asked))
        self.unanswered.setVisible(bool(left))
        self.unanswered.setText(f"Answer the {left:,} left")

    def _remove(self) -> None:
        if (field := self.chosen) is not None:
            self._session.edit(lambda store: store.remove_field(field.id))

    def _show(self) -> None:
        layer, field = self._session.current, self.chosen
        if layer is None or field is None:
            return
        r, viewer = field.region, self._session.viewer
        corners = np.zeros((2, layer.ndim))
        corners[:, -2:] = (r.y, r.x), (r.bottom, r.right)
        low, high = (np.asarray(layer.data_to_world(c))[-2:] for c in corners)
        camera = viewer.scene.camera
        centre = np.asarray(camera.center, float)
        centre[-2:] = (low + high) / 2
        camera.center = tuple(centre)
        size = np.asarray(viewer.canvas.viewbox_size(viewer.layers))
        camera.zoom = float((size / np.abs(high - low)).min() * 0.95)

    # -- second readings

    def _second(self, on: bool) -> None:
        name = self.who.text().strip()
        if on and not name:
            self._session.failed.emit(
                ProjectError("Who reads the field a second time? Type a name first.")
            )
            self._update()
            return
        self._walk.restart()
        for view in self._session.views:
            view.select([])  # what one reads is not the other's to answer
        if on:
            self._session.set_annotator(name, reading=self.reading.value())
        else:
            self._session.set_annotator(self._session.first_annotator)

    def _compare(self) -> None:
        store, field = self._session.store, self.chosen
        if store is None or field is None:
            return
        readings = store.readings(field.id)
        mpp = store.image(field.image).mpp
        if len(readings) < 2 or mpp is None:
            missing = "two readings" if len(readings) < 2 else "the pixel size of the image"
            self.result.setText(f"Agreement needs {missing}.")
            return
        lines = []
        first = readings[0]
        for other in readings[1:]:
            found = agreement(first.nuclei, other.nuclei, radius_um=AGREE_UM, mpp=mpp)
            f1 = "none" if found.f1 is None else f"{found.f1:.2f}"
            kappa = "undefined" if found.kappa is None else f"{found.kappa:.2f}"
            names = " and ".join(", ".join(r.annotators) for r in (first, other))
            lines.append(
                f"<b>F1 {f1}, kappa {kappa}</b> ({names}: {found.both} both, {found.only_first} "
                f"and {found.only_second} of one alone; within {AGREE_UM:g} µm)"
            )
        self.result.setText("<br>".join(lines))
