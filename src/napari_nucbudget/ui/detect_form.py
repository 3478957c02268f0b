"""The questions of the dock "Detect nuclei": image, model, pixel size, region, device."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_nucbudget.bridge.layers import (
    image_source,
    known_pixel_size,
    layer_transform,
    pixel_size,
)
from napari_nucbudget.errors import ImageError, NucbudgetError, PixelSizeError
from napari_nucbudget.models.device import DEVICES
from napari_nucbudget.models.library import DEFAULT_DETECTOR
from napari_nucbudget.types.image import ImageSource, Region, check_mpp, mpp_differ
from napari_nucbudget.ui.calibrate import set_pixel_size
from napari_nucbudget.ui.catalogue import Catalogue
from napari_nucbudget.ui.image_choice import ImageChoice
from napari_nucbudget.ui.theme import Colors
from napari_nucbudget.ui.viewport import check_drawable, drawn_region, image_shape, visible_region
from napari_nucbudget.ui.words import Words

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

__all__ = ["SCOPES", "DetectForm", "DetectRequest"]

UNTYPED = "nothing (no classes)"
SCOPES = ("What is on screen", "Drawn region", "Whole image")


@dataclass(frozen=True, eq=False)
class DetectRequest:
    """One run, as asked for: nothing in it changes while the run goes on."""

    image: Image
    source: ImageSource
    mpp: float
    region: Region
    model: str
    device: str
    classifier: str = ""
    """Name of the model that types the nuclei; empty for none."""


class DetectForm(QWidget):
    """Reads its controls into a `DetectRequest`; `changed` says that they may answer otherwise."""

    changed = Signal()
    model_changed = Signal()
    size_set = Signal(object, float)
    """An image layer was given the pixel size that was typed."""
    failed = Signal(object)

    def __init__(self, viewer: Viewer, catalogue: Catalogue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._catalogue = catalogue
        self.project_mpp: Callable[[], float | None] = lambda: None
        """What the project has for the image; a dock that knows a project sets it."""
        self._colors: Colors | None = None
        self._typed: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._build()
        self._fill_models()
        self._read_pixel_size()
        self._show_scope()

    def _build(self) -> None:
        self.image = ImageChoice(self._viewer)
        self.image.setToolTip("The H&E image in which nuclei are detected.")
        self.model = QComboBox()
        self.model.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.model.setMinimumContentsLength(12)
        self.classifier = QComboBox()
        self.classifier.setSizeAdjustPolicy(self.model.sizeAdjustPolicy())
        self.classifier.setMinimumContentsLength(12)
        self.open_model = QPushButton("&Open…")
        self.open_model.setToolTip(
            "Open a model folder (card.json and weights.safetensors) of a detector or classifier."
        )
        self.mpp = QLineEdit()
        self.mpp.setPlaceholderText("e.g. 0.25")
        self.mpp.setToolTip(
            "Micrometres per pixel of the image at full resolution, from the layer's scale and "
            "units. Usual: 0.25 at 40x, 0.5 at 20x."
        )
        self.set_mpp = QPushButton("&Set on layer")
        self.set_mpp.setToolTip(
            "Give this pixel size to the image layer, and to the layers that share its pixels. "
            "The scale bar is then right."
        )
        self.scope = QComboBox()
        self.scope.addItems(SCOPES)
        self.scope.setToolTip("Where nuclei are detected.")
        self.draw = QPushButton("Dr&aw")
        self.draw.setToolTip("Add a shapes layer and drag a rectangle on the image.")
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.device.setToolTip(
            "What computes: auto takes a graphics card where there is one, else the processor."
        )
        self.hint = Words()
        self.hint.setWordWrap(True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)

        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("&Image", self.image)
        self._add_pair(form, "&Model", self.model, self.open_model)
        form.addRow("T&ype nuclei with", self.classifier)
        self._add_pair(form, "Pixel si&ze", self.mpp, QLabel("µm/px"), self.set_mpp)
        self._add_pair(form, "&Region", self.scope, self.draw)
        form.addRow("Devic&e", self.device)
        form.addRow(self.hint)

        self.image.image_changed.connect(self._read_pixel_size)
        self.image.place_changed.connect(self._place_changed)
        self.model.currentIndexChanged.connect(self._choose_model)
        self.open_model.clicked.connect(self._ask_for_folder)
        self.mpp.textEdited.connect(self._type_pixel_size)
        self.mpp.textChanged.connect(self._update)
        self.set_mpp.clicked.connect(self._give_pixel_size)
        self.scope.currentIndexChanged.connect(self._show_scope)
        self.draw.clicked.connect(self._start_drawing)

    @staticmethod
    def _add_pair(form: QFormLayout, label: str, *widgets: QWidget) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(widgets[0], 1)
        for widget in widgets[1:]:
            row.addWidget(widget)
        name = QLabel(label)
        name.setBuddy(widgets[0])
        form.addRow(name, row)

    def set_colors(self, colors: Colors) -> None:
        self._colors = colors
        self._update()

    # -- model

    def _fill_models(self) -> None:
        names = self._catalogue.names()
        self.model.addItems(names)
        if DEFAULT_DETECTOR in names:
            self.model.setCurrentText(DEFAULT_DETECTOR)
        self.classifier.addItem(UNTYPED)
        self.classifier.addItems(self._catalogue.classifiers())
        self.classifier.setToolTip("Give nuclei the likeliest class of this model, or none.")
        self._choose_model()

    def offer_models(self) -> None:
        """Offer models too that were kept meanwhile; those chosen stay chosen."""
        self._catalogue.refresh()
        pickers = (
            (self.model, self._catalogue.names()),
            (
                self.classifier,
                self._catalogue.classifiers(),
            ),
        )
        for picker, names in pickers:
            picker.addItems([name for name in names if picker.findText(name) < 0])

    def _choose_model(self) -> None:
        name = self.model.currentText()
        if name:
            card = self._catalogue.card(name)
            self.model.setToolTip(
                f"<p>{card.summary or card.name}</p><p>Works at {card.input.mpp:g} µm/px.</p>"
            )
        self.model_changed.emit()
        self._update()

    def _ask_for_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a model folder")
        if folder:
            self.add_model(folder)

    def add_model(self, folder: Path | str) -> None:
        """Offer the model in a folder, and choose it; `failed` tells what is wrong with it."""
        try:
            name = self._catalogue.open_folder(folder)
        except NucbudgetError as error:
            self.failed.emit(error)
            return
        types = self._catalogue.card(name).task == "classification"
        picker = self.classifier if types else self.model
        if picker.findText(name) < 0:
            picker.addItem(name)
        picker.setCurrentText(name)

    # -- pixel size

    def _place_changed(self) -> None:
        """A layer that now says its pixel size is right, whatever was typed before."""
        image = self.image.current
        if image is not None and self._layer_mpp() is not None:
            self._typed.pop(image, None)
        self._read_pixel_size()

    def _layer_mpp(self) -> float | None:
        image = self.image.current
        return None if image is None else known_pixel_size(image)

    def _read_pixel_size(self) -> None:
        image = self.image.current
        known = self._layer_mpp()
        text = "" if known is None else f"{known:.4g}"
        self.mpp.setText(text if image is None else self._typed.get(image, text))
        self._update()
        self.hint.setMinimumHeight(0)

    def _type_pixel_size(self, text: str) -> None:
        if self.image.current is not None:
            self._typed[self.image.current] = text

    def pixel_size(self) -> float | None:
        """µm per pixel in the field; None where it is empty.

        Raises
        ------
        PixelSizeError
            Where it is no number, or not plausible.
        """
        text = self.mpp.text().strip().replace(",", ".")
        known = self._layer_mpp()
        if known is not None and text == f"{known:.4g}":
            return known
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise PixelSizeError(
                f"{text!r} is not a pixel size: type micrometres per pixel, such as 0.25."
            ) from None
        return check_mpp(value, of="typed")

    def _give_pixel_size(self) -> None:
        image, mpp = self.image.current, self.pixel_size()
        if image is not None and mpp is not None:
            self._typed.pop(image, None)
            set_pixel_size(self._viewer, image, mpp)
            self.size_set.emit(image, mpp)

    # -- region

    def _show_scope(self) -> None:
        self.draw.setVisible(self.scope.currentIndex() == 1)
        self.changed.emit()

    def _start_drawing(self) -> None:
        image = self.image.current
        if image is None:
            return
        try:
            check_drawable(self._viewer)
        except NucbudgetError as error:
            self.failed.emit(error)
            return
        shapes = self._viewer.add_shapes(
            name="region",
            face_color="transparent",
            edge_color="#1a1a1a",
            edge_width=max(2.0, max(image_shape(image)) / 400),
            **layer_transform(image),
        )
        self._viewer.layers.selection.active = shapes
        shapes.mode = "add_rectangle"

    def region(self, image: Image) -> Region:
        """Level-0 rectangle that is asked for.

        Raises
        ------
        RegionError
            Where the view or the drawn shape does not overlap the image.
        """
        choice = self.scope.currentIndex()
        if choice == 0:
            return visible_region(self._viewer, image)
        if choice == 1:
            return drawn_region(self._viewer, image)
        return Region.whole(image_shape(image))

    # -- all together

    def problem(self) -> str:
        """Why a run cannot start, as a sentence; empty where it can."""
        return self._image_problem() or self._pixel_problem()

    def _image_problem(self) -> str:
        image = self.image.current
        if image is None:
            return "Open an H&E image: drop a file here, or choose File > Open Sample."
        if not self.model.currentText():
            return "No model is installed: open a model folder."
        try:
            image_source(image, mpp=1.0)
        except ImageError as error:
            return str(error)
        return ""

    def _pixel_problem(self) -> str:
        image = self.image.current
        assert image is not None
        try:
            if self.pixel_size() is not None:
                return ""
            pixel_size(image)
        except PixelSizeError as error:
            return str(error)
        scale = float(image.scale[-1])
        stated = "" if scale == 1 else f" (its scale is {scale:g}, without a unit of length)"
        return (
            f"The image does not say how large its pixels are{stated}. Type µm per pixel: "
            "0.25 is usual at 40x, 0.5 at 20x. It is never guessed."
        )

    def request(self) -> DetectRequest:
        """What is asked for now.

        Raises
        ------
        NucbudgetError
            Where the form is not complete, or does not fit the image.
        """
        image = self.image.current
        if problem := self.problem():
            raise ImageError(problem)
        mpp = self.pixel_size()
        assert image is not None
        assert mpp is not None
        return DetectRequest(
            image=image,
            source=image_source(image, mpp=mpp),
            mpp=mpp,
            region=self.region(image),
            model=self.model.currentText(),
            device=self.device.currentText(),
            classifier=self.chosen_classifier(),
        )

    def chosen_classifier(self) -> str:
        """Name of the model that types nuclei; empty for none."""
        return self.classifier.currentText() if self.classifier.currentIndex() > 0 else ""

    def refresh(self) -> None:
        """After a change of what the project knows."""
        self._update()

    def _update(self) -> None:
        if self.isVisible():  # a shorter hint keeps the room of the last: no button moves in typing
            self.hint.setMinimumHeight(self.hint.height())
        image_problem = self._image_problem()
        problem = image_problem or self._pixel_problem()
        color = self._colors.ask if self._colors and self.image.current and problem else ""
        self.hint.setStyleSheet(f"color: {color};" if color else "")
        asks_size = color and not image_problem
        self.mpp.setStyleSheet(f"border: 2px solid {color}; padding: 0px;" if asks_size else "")
        self.hint.setText(problem or self._reading())
        known = self._layer_mpp()
        text = "" if known is None else f"{known:.4g}"
        differs = self.mpp.text() != text or (
            not problem and mpp_differ(self.project_mpp(), self.pixel_size())
        )
        self.set_mpp.setVisible(not problem and differs)
        self.changed.emit()

    def _reading(self) -> str:
        card = self._catalogue.card(self.model.currentText())
        return f"{self.pixel_size():.4g} µm/px image is read at {card.input.mpp:g} µm/px."
