"""Outlines of the fields of an image, on a layer that shows them and is not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_nucbudget.bridge.layers import layer_transform
from napari_nucbudget.project import Field
from napari_nucbudget.ui.slides import own_metadata
from napari_nucbudget.ui.store_view import PLACE_EVENTS

if TYPE_CHECKING:
    from napari.layers import Image, Shapes

    from napari_nucbudget.ui.session import Session

__all__ = ["FieldOutlines"]


class FieldOutlines:
    """One layer, above the image that has the fields and where that is.

    Attributes
    ----------
    layer : napari.layers.Shapes or None
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._image: Image | None = None
        self._fields: tuple[Field, ...] = ()
        self.layer: Shapes | None = None

    def show(self, fields: tuple[Field, ...]) -> None:
        """Outline these fields on the current image, and no others."""
        image = self._session.current if fields else None
        if image is self._image and fields == self._fields:
            return  # an edit of nuclei, most of the time
        self._clear()
        self._image, self._fields = image, fields
        if image is not None:
            self._create(image, fields)

    def _clear(self) -> None:
        layer, image = self.layer, self._image
        self.layer, self._image, self._fields = None, None, ()
        if image is not None:
            for name in PLACE_EVENTS:
                getattr(image.events, name).disconnect(self._follow_place)
            image.events.name.disconnect(self._follow_name)
        if layer is not None:
            self._session.removals.take_out(layer)

    def _create(self, image: Image, fields: tuple[Field, ...]) -> None:
        from napari.layers import Shapes

        layers = self._session.viewer.layers
        active = layers.selection.active
        self.layer = Shapes(
            [_outline(field) for field in fields],
            shape_type="rectangle",
            name=_name(image),
            face_color="transparent",
            edge_color="#101010",
            edge_width=max(2.0, max(fields[0].region.height, fields[0].region.width) / 300),
            metadata=own_metadata("fields"),
            **layer_transform(image),
        )
        self.layer.editable = False
        layers.insert(layers.index(image) + 1, self.layer)
        if active is not None and active in layers:
            layers.selection.active = active
        for name in PLACE_EVENTS:
            getattr(image.events, name).connect(self._follow_place)
        image.events.name.connect(self._follow_name)

    def _follow_place(self, event: Any = None) -> None:
        if self.layer is not None and self._image is not None:
            for name, value in layer_transform(self._image).items():
                setattr(self.layer, name, value)

    def _follow_name(self, event: Any = None) -> None:
        layer, image = self.layer, self._image
        if layer is not None and image is not None and layer.name.startswith("fields ("):
            layer.name = _name(image)


def _name(image: Image) -> str:
    return f"fields ({image.name})"


def _outline(field: Field) -> np.ndarray[Any, Any]:
    r = field.region
    low, high = np.array([r.y, r.x]) - 0.5, np.array([r.bottom, r.right]) - 0.5
    return np.array([low, (low[0], high[1]), high, (high[0], low[1])])
