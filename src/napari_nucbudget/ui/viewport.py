"""Which part of an image is on screen, or inside a drawn shape, in its level-0 pixels."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.bridge.layers import unit_factor
from napari_nucbudget.errors import RegionError
from napari_nucbudget.types.image import Region
from napari_nucbudget.ui.slides import is_own

if TYPE_CHECKING:
    from napari.layers import Image, Shapes
    from napari.viewer import Viewer

__all__ = ["drawn_region", "drawn_regions", "image_shape", "shapes_to_use", "visible_region"]


def image_shape(layer: Image) -> tuple[int, int]:
    """Rows and columns of level 0: the last two axes that are no colours."""
    level = layer.data[0] if layer.multiscale else layer.data
    shape = tuple(level.shape)[:-1] if layer.rgb else tuple(level.shape)
    return int(shape[-2]), int(shape[-1])


def check_drawable(viewer: Viewer) -> None:
    """Refuse to wait for a drawing that the viewer does not take.

    Raises
    ------
    RegionError
        Where it shows 3-D or other axes than rows and columns.
    """
    if not _flat(viewer):
        raise RegionError(
            "Nothing can be drawn in this view: the viewer does not show the rows and columns of "
            "the image. Switch to the 2-D view (Ctrl+Y) in the usual order of axes."
        )


def _flat(viewer: Viewer) -> bool:
    shown = set(viewer.dims.displayed)
    return viewer.dims.ndisplay == 2 and shown == {viewer.dims.ndim - 2, viewer.dims.ndim - 1}


def visible_region(viewer: Viewer, layer: Image) -> Region:
    """Smallest rectangle of the image's pixels that covers what is on screen.

    The layer may be scaled, translated, rotated, or have other units than the
    rest of the viewer.

    Raises
    ------
    RegionError
        Where the image is not on screen, or the viewer shows 3-D or other axes.
    """
    shown = tuple(viewer.dims.displayed)
    if not _flat(viewer):
        raise RegionError(
            "The viewer does not show the rows and columns of the image. Switch to the 2-D view "
            "(Ctrl+Y) in the usual order of axes, or choose 'Whole image'."
        )
    centre = np.asarray(viewer.scene.camera.center, dtype=float)[-2:]
    half = np.asarray(viewer.canvas.viewbox_size(viewer.layers)) / viewer.scene.camera.zoom / 2
    corners = []
    for sides in product((-1, 1), repeat=2):
        world = np.asarray(viewer.dims.point, dtype=float)
        world[list(shown)] = centre + half * sides
        corners.append(world)
    factors = _unit_factors(viewer, layer)
    n = min(layer.ndim, viewer.dims.ndim)
    inside = [layer.world_to_data(corner[-n:] * factors[-n:])[-2:] for corner in corners]
    return _covering(np.array(inside), layer, "What is on screen")


def _unit_factors(viewer: Viewer, layer: Any) -> NDArray[np.float64]:
    """World coordinates of the viewer times these are those of the layer, per axis."""
    factors = np.ones(max(layer.ndim, viewer.dims.ndim))
    world = viewer.layers.extent.units
    if world is not None:
        for axis in range(-min(len(world), layer.ndim), 0):
            factors[axis] = unit_factor(world[axis], layer.units[axis]) or 1.0
    return factors


def shapes_to_use(viewer: Viewer) -> Shapes | None:
    """The shapes layer that a person means: the selected one, else the topmost with shapes.

    Outlines of fields, and the loop around nuclei, were drawn for something else.
    """
    from napari.layers import Shapes

    filled = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Shapes) and len(layer.data) and not is_own(layer, "fields", "lasso")
    ]
    active = viewer.layers.selection.active
    return next((layer for layer in filled if layer is active), filled[-1] if filled else None)


def drawn_region(viewer: Viewer, layer: Image) -> Region:
    """Smallest rectangle of the image's pixels around the drawn shape.

    Of several shapes the selected ones count, else the last one drawn.

    Raises
    ------
    RegionError
        Where no shape was drawn, or it lies outside the image.
    """
    shapes = shapes_to_use(viewer)
    if shapes is None:
        raise RegionError("No region was drawn yet: press 'Draw' and drag a rectangle.")
    chosen = sorted(shapes.selected_data) or [len(shapes.data) - 1]
    vertices = np.concatenate([np.asarray(shapes.data[i]) for i in chosen])
    return _around(viewer, layer, shapes, vertices)


def drawn_regions(viewer: Viewer, layer: Image, shapes: Shapes) -> list[Region]:
    """Smallest rectangle of the image's pixels around each shape of a layer.

    Raises
    ------
    RegionError
        Where one lies outside the image.
    """
    return [_around(viewer, layer, shapes, np.asarray(shape)) for shape in shapes.data]


def _around(viewer: Viewer, layer: Image, shapes: Shapes, vertices: NDArray[np.float64]) -> Region:
    into = _unit_factors(viewer, layer)[-2:] / _unit_factors(viewer, shapes)[-2:]
    points = []
    for vertex in vertices:
        world = np.asarray(shapes.data_to_world(vertex))[-2:] * into
        points.append(layer.world_to_data(world)[-2:])
    return _covering(np.array(points), layer, "The drawn region")


def _covering(yx: NDArray[np.float64], layer: Image, what: str) -> Region:
    """Whole pixels around points whose pixel centres are at whole numbers."""
    (top, left), (bottom, right) = yx.min(axis=0) + 0.5, yx.max(axis=0) + 0.5
    y, x = math.floor(top), math.floor(left)
    region = Region(y, x, math.ceil(bottom) - y, math.ceil(right) - x)
    try:
        return region.clipped(image_shape(layer))
    except RegionError as error:
        raise RegionError(
            f"{what} does not overlap the image {layer.name!r}. Move there, or choose another "
            "region."
        ) from error
