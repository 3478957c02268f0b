"""The picture that stands for the nuclei of an image when they are too many to show."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_nucbudget.bridge.layers import layer_transform
from napari_nucbudget.core.density import bin_counts, bin_size, density_picture
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui.dot_style import class_colors
from napari_nucbudget.ui.jobs import Job
from napari_nucbudget.ui.slides import own_metadata

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_nucbudget.project import ProjectStore
    from napari_nucbudget.ui.session import Session

__all__ = ["DensityLayer"]

BAND = 8192
"""Rows of an image counted at once: the project is free for edits in between."""


class DensityLayer(QObject):
    """An RGBA image layer under the points; counted beside the window, and only when shown."""

    def __init__(self, session: Session, image: int, layer: Image, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._image = image
        self._slide = layer
        self._counted_at: tuple[int, int] | None = None
        self._picture: Image | None = None
        self.job = Job(self)
        self.job.finished.connect(self._use)
        self.job.failed.connect(session.failed)

    @property
    def layer(self) -> Image | None:
        return self._picture

    def show(self) -> None:
        """Show the picture, of the nuclei as they are now as soon as they are counted."""
        store = self._session.store
        if store is None:
            return
        if self._picture is not None and self._picture in self._session.viewer.layers:
            self._picture.visible = True
        now = (store.revision, self._session.reading)
        if now != self._counted_at and not self.job.running:
            self._counted_at = now
            self.job.start(partial(_counted, store, self._image, self._session.reading))

    def hide(self) -> None:
        if self._picture is not None and self._picture.visible:
            self._picture.visible = False

    def leave(self, *, layers: bool = True) -> None:
        """Take the picture out of the viewer."""
        self.job.close()
        picture, self._picture = self._picture, None
        if layers and picture is not None:
            self._session.removals.take_out(picture)

    def follow(self) -> None:
        """Lie on the image, wherever that went."""
        if self._picture is not None:
            for name, value in self._place().items():
                setattr(self._picture, name, value)

    def _use(self, picture: NDArray[np.uint8]) -> None:
        from napari.layers import Image

        viewer = self._session.viewer
        if self._picture is not None and self._picture in viewer.layers:
            self._picture.data = picture
        else:
            active = viewer.layers.selection.active
            self._picture = Image(
                picture,
                rgb=True,
                name=f"density ({self._slide.name})",
                interpolation2d="nearest",
                metadata=own_metadata("density"),
                **self._place(),
            )
            viewer.layers.insert(viewer.layers.index(self._slide) + 1, self._picture)
            viewer.layers.selection.active = active
        self.show()

    def _place(self) -> dict[str, Any]:
        slide = self._slide
        size = bin_size(self._shape)
        place = layer_transform(slide)
        # The first bin's centre lies (size - 1) / 2 pixels from the first pixel's.
        zero = np.zeros(slide.ndim)
        away = zero.copy()
        away[-2:] = (size - 1) / 2
        moved = (np.asarray(slide.data_to_world(away)) - slide.data_to_world(zero))[-2:]
        linear = np.asarray(place["affine"])[:2, :2]
        place["translate"] = place["translate"] + np.linalg.solve(linear, moved)
        place["scale"] = place["scale"] * size
        return place

    @property
    def _shape(self) -> tuple[int, int]:
        store = self._session.store
        assert store is not None
        return store.image(self._image).shape


def _counted(
    store: ProjectStore, image: int, reading: int
) -> Generator[Progress, None, NDArray[np.uint8]]:
    """The picture, counted band by band."""
    height, width = store.image(image).shape
    size = bin_size((height, width))
    total: Any = 0
    classes = store.classes
    for y in range(0, height, BAND):
        band = Region(y, 0, min(BAND, height - y), width)
        nuclei = store.nuclei(image, band, reading=reading)
        classes = nuclei.classes
        total = total + bin_counts(nuclei, (height, width), size)
        yield Progress(band.bottom, height)
    return density_picture(total, class_colors(classes))
