"""A nuclei view for every image of the project that is open as a layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_nucbudget.ui.slides import is_slide
from napari_nucbudget.ui.store_view import StoreView

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_nucbudget.ui.session import Session

__all__ = ["Views"]


class Views(QObject):
    """Makes views when images are linked, and ends them with their layer or project."""

    selection_changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._views: list[StoreView] = []
        session.project_changed.connect(self._match)
        session.image_changed.connect(self._match)

    def of(self, layer: Image | None = None) -> StoreView | None:
        """View of an image layer, default the current one."""
        layer = layer or self._session.current
        return next((view for view in self._views if view.layer is layer), None)

    def __iter__(self) -> Iterator[StoreView]:
        return iter(self._views)

    def bring_forward(self, layer: Image) -> None:
        """Show an image and its nuclei in front of the other images, which may lie over it."""
        layers = self._session.viewer.layers
        layer.visible = True
        others = [view.points for view in self._views if view.layer is not layer]
        above = layers[layers.index(layer) + 1 :]
        for each in [each for each in above if is_slide(each) or each in others]:
            layers.move(layers.index(each), layers.index(layer))  # what else lies there stays

    def clear(self, *, layers: bool = True) -> None:
        """End all views; with the window closed there are no `layers` to take out."""
        views, self._views = self._views, []
        for view in views:
            view.leave(layers=layers)

    def _match(self) -> None:
        session = self._session
        wanted: dict[int, Image] = {}
        for layer, image in session.links if session.store is not None else ():
            wanted.setdefault(image, layer)
        kept, over = [], []
        for view in self._views:
            if wanted.get(view.image) is view.layer and view.store is session.store:
                kept.append(view)
                del wanted[view.image]
            else:
                over.append(view)
        self._views = kept  # first: removing a layer leads here again
        for view in over:
            view.leave()
        for image, layer in wanted.items():
            view = StoreView(session, image, layer)
            view.selection_changed.connect(self.selection_changed)
            self._views.append(view)
            view.show()
