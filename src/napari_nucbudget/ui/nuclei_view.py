"""The points layer that shows the proposals of one image, whatever happens to either layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.bridge.layers import (
    layer_transform,
    points_features,
    points_layer,
    points_name,
)
from napari_nucbudget.types.nuclei import Nuclei

if TYPE_CHECKING:
    from napari.layers import Image, Points
    from napari.viewer import Viewer

__all__ = ["NucleiView"]

PLACE_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units")


class NucleiView:
    """Keeps a points layer in step with the proposals, and on its image.

    The points follow the image when it is moved or renamed, and stay where
    they are when it is removed. A points layer that was deleted is made anew
    at the next change. One that a person edited (points added, moved or
    deleted) is theirs from then on: it is left alone, and the next change goes
    into a new layer.
    """

    def __init__(self, viewer: Viewer, image: Image) -> None:
        self._viewer = viewer
        self.image = image
        self.points: Points | None = None
        self._written: NDArray[Any] = np.zeros((0, 2))
        self._transform = layer_transform(image)
        for name in PLACE_EVENTS:
            getattr(image.events, name).connect(self._follow_place)
        image.events.name.connect(self._follow_name)

    def disconnect(self) -> None:
        """Stop following the image."""
        for name in PLACE_EVENTS:
            getattr(self.image.events, name).disconnect(self._follow_place)
        self.image.events.name.disconnect(self._follow_name)

    def remove(self) -> None:
        """Take the points out of the viewer, unless a person edited them."""
        self.disconnect()
        points, self.points = self.points, None
        edited = points is not None and not np.array_equal(points.data, self._written)
        if points is not None and points in self._viewer.layers and not edited:
            self._viewer.layers.remove(points)

    def show(self, nuclei: Nuclei) -> None:
        """Make the points those nuclei."""
        points = self.points
        if points is None or points not in self._viewer.layers or self._edited():
            self._create(nuclei)
            return
        points.selected_data = set()
        points.data = nuclei.yx.astype(np.float64)
        points.features = points_features(nuclei)
        self._written = points.data.copy()

    def _edited(self) -> bool:
        return self.points is not None and not np.array_equal(self.points.data, self._written)

    def _create(self, nuclei: Nuclei) -> None:
        from napari.layers import Points

        data, arguments, _ = points_layer(nuclei, self.image, transform=self._transform)
        self.points = Points(data, **arguments)
        self._viewer.add_layer(self.points)
        self._written = self.points.data.copy()

    def _follow_place(self, event: Any = None) -> None:
        self._transform = layer_transform(self.image)
        if self.points is not None:
            for name, value in self._transform.items():
                setattr(self.points, name, value)

    def _follow_name(self, event: Any = None) -> None:
        if self.points is not None and self.points.name.startswith("nuclei ("):
            self.points.name = points_name(self.image.name)
