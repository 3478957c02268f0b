"""A list of the viewer's image layers that stays true while layers come, go and are renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_nucbudget.ui.slides import is_slide

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

__all__ = ["ImageChoice"]

PLACE_EVENTS = ("scale", "rotate", "shear", "affine", "units")


class ImageChoice(QComboBox):
    """Image layers by name, the newest one chosen when it is added."""

    image_changed = Signal()
    place_changed = Signal()
    """The chosen layer's scale, units or transform changed."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self._viewer = viewer
        self._layers: list[Image] = []
        self._joined = False
        self.currentIndexChanged.connect(self._choice_changed)
        self.activated.connect(self._activate)
        self.join()

    @property
    def current(self) -> Image | None:
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Image | None) -> None:
        """Choose a layer; one that is not in the list changes nothing."""
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))

    def _activate(self) -> None:
        """An image that a person picks here is the one that the other docks work on."""
        self._viewer.layers.selection.active = self.current

    def join(self) -> None:
        """Follow the viewer's layers."""
        if not self._joined:
            self._joined = True
            events = self._viewer.layers.events
            for name in ("inserted", "removed", "reordered"):
                getattr(events, name).connect(self._refresh)
            self._refresh()

    def leave(self) -> None:
        """Stop following; the list is emptied."""
        if self._joined:
            self._joined = False
            events = self._viewer.layers.events
            for name in ("inserted", "removed", "reordered"):
                getattr(events, name).disconnect(self._refresh)
            self._watch([])

    def _refresh(self, event: Any = None) -> None:
        chosen = self.current
        before = self._layers
        after = [layer for layer in reversed(self._viewer.layers) if is_slide(layer)]
        new = [layer for layer in after if layer not in before]
        self._watch(after)
        self.blockSignals(True)
        self.clear()
        self.addItems([layer.name for layer in after])
        wanted = new[0] if new else chosen
        if wanted in after:
            self.setCurrentIndex(after.index(wanted))
        self.blockSignals(False)
        if self.current is not chosen:
            self._choice_changed()

    def _watch(self, layers: list[Image]) -> None:
        for old in self._layers:
            old.events.name.disconnect(self._rename)
            for name in PLACE_EVENTS:
                getattr(old.events, name).disconnect(self._moved)
        self._layers = layers
        for layer in layers:
            layer.events.name.connect(self._rename)
            for name in PLACE_EVENTS:
                getattr(layer.events, name).connect(self._moved)

    def _rename(self, event: Any = None) -> None:
        for i, layer in enumerate(self._layers):
            self.setItemText(i, layer.name)

    def _moved(self, event: Any = None) -> None:
        self.place_changed.emit()

    def _choice_changed(self) -> None:
        layer = self.current
        self.setToolTip("" if layer is None else f"The H&E image: {layer.name}")
        self.image_changed.emit()
