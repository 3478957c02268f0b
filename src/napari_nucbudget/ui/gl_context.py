"""A layer that is taken out must not take the window with it.

napari 0.9 gives up a removed layer's buffers and textures in whatever OpenGL context is current
then. Where docks lie beside the canvas that may be Qt's own: the canvas' objects of the same
numbers go instead, and the next drawing reads memory that is not there (seen with Mesa's software
renderer; napari's issues 6472 and 8471 report the like from Windows).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["guard_removals"]


def guard_removals(viewer: Viewer) -> None:
    """Make the canvas' context current before any layer of a viewer is taken out."""
    known = weakref.ref(viewer)

    def prepare(event: Any = None) -> None:
        viewer = known()
        window: Any = getattr(viewer, "window", None)  # a viewer without a window has none
        qt_viewer = getattr(getattr(window, "_qt_window", None), "_qt_viewer", None)
        native = getattr(getattr(qt_viewer, "canvas", None), "native", None)
        make_current = getattr(native, "makeCurrent", None)
        if make_current is not None:
            make_current()

    viewer.layers.events.removing.connect(prepare)
