"""Taking layers out of a viewer: ours when napari is done with its own, and none with the window.

napari 0.9 gives up a removed layer's buffers and textures in whatever OpenGL context is current
then. Where docks lie beside the canvas that may be Qt's own: the canvas' objects of the same
numbers go instead, and the next drawing reads memory that is not there (seen with Mesa's software
renderer; napari's issues 6472 and 8471 report the like from Windows).
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

__all__ = ["Removals"]


class Removals(QObject):
    """Takes our layers out of a viewer, and watches napari take out others."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._theirs = False
        self._own = False
        viewer.layers.events.removing.connect(self._begin)

    @property
    def busy(self) -> bool:
        """Whether a layer is being taken out, maybe one of several that a person selected.

        No layer must come or go meanwhile: napari still has to tell of the first one's place in
        the list, and another would be taken for it.
        """
        return self._theirs or self._own

    def take_out(self, layer: Layer) -> None:
        """Take out one of our own layers; where another one is on its way out, after that."""
        if self.busy:
            QTimer.singleShot(0, partial(self.take_out, layer))
            return
        viewer = self._viewer()
        if viewer is not None and layer in viewer.layers:
            self._own = True
            try:
                viewer.layers.remove(layer)
            finally:
                self._own = False

    def _begin(self, event: Any = None) -> None:
        """Napari tells of its selection before it tells of the removal, and may go on to others."""
        self._make_current()
        if not self.busy:
            self._theirs = True
            QTimer.singleShot(0, self._end)

    def _end(self) -> None:
        self._theirs = False

    def _make_current(self) -> None:
        """Make the canvas' OpenGL context the current one; a viewer without a window has none."""
        window: Any = getattr(self._viewer(), "window", None)
        qt_viewer = getattr(getattr(window, "_qt_window", None), "_qt_viewer", None)
        native = getattr(getattr(qt_viewer, "canvas", None), "native", None)
        make_current = getattr(native, "makeCurrent", None)
        if make_current is not None:
            make_current()
