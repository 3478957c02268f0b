"""Telling a layer its pixel size, without losing what lies on it or what is on screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

__all__ = ["set_pixel_size"]


def set_pixel_size(viewer: Viewer, image: Image, mpp: float) -> None:
    """Give an image layer a scale of `mpp` µm, and take along all that shares its pixels.

    Layers with the same scale and units as the image (points and shapes drawn
    on it) are changed alike, so they stay in place; the camera keeps showing
    the same pixels, and a mirrored image stays mirrored.
    """
    scale, units = np.asarray(image.scale)[-2:].copy(), image.units[-2:]
    factor = mpp / np.abs(scale)
    together = [
        layer
        for layer in viewer.layers
        if np.array_equal(layer.scale[-2:], scale) and layer.units[-2:] == units
    ]
    places = [(np.asarray(layer.scale), np.asarray(layer.translate)) for layer in together]
    camera = viewer.scene.camera
    centre, zoom = np.asarray(camera.center, dtype=float), camera.zoom
    for layer, (old_scale, old_translate) in zip(together, places, strict=True):
        stretch = np.ones(layer.ndim)
        stretch[-2:] = factor
        layer.scale = old_scale * stretch
        layer.translate = old_translate * stretch
        layer.units = (*layer.units[:-2], "um", "um")
    centre[-2:] *= factor
    camera.center = tuple(centre)
    camera.zoom = zoom / factor[-1]
