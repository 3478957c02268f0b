"""Selecting nuclei by a loop around them, drawn with napari's own lasso of the shapes layer.

The loop is asked of the project, so that it also finds what is too much to be on screen as points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_nucbudget.bridge.layers import layer_transform
from napari_nucbudget.errors import NucbudgetError, PointsError, RegionError
from napari_nucbudget.ui.slides import own_metadata
from napari_nucbudget.ui.viewport import check_drawable

if TYPE_CHECKING:
    from napari.layers import Shapes

    from napari_nucbudget.ui.session import Session

__all__ = ["Lasso"]

LINE_PX = 2.0
"""Width of the loop on screen."""


class Lasso(QObject):
    """One loop at a time, on the current image; `start` waits for it, `stop` gives it up."""

    changed = Signal()
    """It has begun or ended to wait for a loop."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._layer: Shapes | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._take)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._stop_if_left)
        session.project_changed.connect(self.stop)
        session.image_changed.connect(self.stop)

    @property
    def waiting(self) -> bool:
        """Whether the next drag draws a loop."""
        return self._layer is not None

    def start(self) -> None:
        """Let the next drag draw a loop; does nothing where it waits for one already."""
        from napari.layers import Shapes

        session = self._session
        view, image = session.views.of(), session.current
        if self.waiting:
            return
        if view is None or image is None:
            session.failed.emit(PointsError("The image has no nuclei in the project yet."))
            return
        viewer = session.viewer
        try:
            check_drawable(viewer)
        except RegionError as error:
            session.failed.emit(error)
            self.changed.emit()  # the button comes up again
            return
        per_pixel = float(np.abs(np.asarray(image.scale)[-1])) * viewer.scene.camera.zoom
        self._layer = Shapes(
            ndim=2,
            name="lasso",
            face_color="transparent",
            edge_color="black",
            edge_width=LINE_PX / per_pixel,
            metadata=own_metadata("lasso"),
            **layer_transform(image),
        )
        viewer.add_layer(self._layer)
        viewer.layers.selection.active = self._layer
        self._layer.mode = "add_polygon_lasso"
        self._layer.bind_key("Escape", lambda layer: self.stop(), overwrite=True)
        self._layer.events.data.connect(self._drawn)
        viewer.layers.selection.events.active.connect(self._left)
        self.changed.emit()

    def stop(self) -> None:
        """Wait no more; what is selected stays so."""
        layer, self._layer = self._layer, None
        if layer is None:
            return
        session = self._session
        layers = session.viewer.layers
        self._soon.stop()
        self._later.stop()
        layer.events.data.disconnect(self._drawn)
        layers.selection.events.active.disconnect(self._left)
        active, view = layers.selection.active, session.views.of()
        if layer in layers:
            layers.remove(layer)
        if active is layer and view is not None and view.points in layers:
            layers.selection.active = view.points  # its selection is drawn, and its keys work
        self.changed.emit()

    def _left(self, event: Any = None) -> None:
        # Not now: a layer that is being inserted is active for a moment, and one that is being
        # removed is still in the list.
        self._later.start(0)

    def _stop_if_left(self) -> None:
        """Stop where a person has chosen another layer, or taken this one away."""
        if self._session.viewer.layers.selection.active is not self._layer:
            self.stop()

    def _drawn(self, event: Any) -> None:
        from napari.layers.base import ActionType

        if ActionType(event.action) is ActionType.ADDED:
            self._soon.start(0)  # not now: napari is still at work on the shape

    def _take(self) -> None:
        """Select what lies in the loop; a click without one is no loop."""
        layer, view, store = self._layer, self._session.views.of(), self._session.store
        if layer is None or view is None or store is None or not len(layer.data):
            return
        loop = np.asarray(layer.data[-1])[:, -2:]
        self.stop()
        try:
            found = store.within(view.image, loop, reading=self._session.reading)
        except NucbudgetError as error:
            self._session.failed.emit(error)
            return
        view.select(found)
