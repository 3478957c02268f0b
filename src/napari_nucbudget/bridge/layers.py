"""napari layers to our types and back: pixels out of an image layer, nuclei into points.

Nothing here imports napari: layers are asked for what every layer has, and
results are layer data tuples, which napari turns into layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, PixelSizeError
from napari_nucbudget.types.image import ArraySource, ImageSource, check_mpp
from napari_nucbudget.types.nuclei import Nuclei

__all__ = [
    "POINT_STYLE",
    "PROPOSAL_COLOR",
    "LayerData",
    "image_source",
    "known_pixel_size",
    "layer_transform",
    "pixel_size",
    "points_features",
    "points_layer",
    "points_name",
    "unit_factor",
]

LayerData = tuple[Any, dict[str, Any], str]
"""(data, keyword arguments, layer type), as napari's readers return it."""

PROPOSAL_COLOR = "#00e5ff"
"""Face colour of nuclei without a class; visible on haematoxylin and on eosin."""
POINT_STYLE: dict[str, Any] = {
    "size": 9,
    "symbol": "disc",
    "border_color": "black",
    "border_width": 0.15,
    "border_width_is_relative": True,
    "canvas_size_limits": (4, 14),
}
"""The look of nuclei; the limits keep them visible zoomed out and small zoomed in."""
MAX_ANISOTROPY = 1.05


def image_source(layer: Any, *, mpp: float | None = None, name: str | None = None) -> ImageSource:
    """What inference sees of a napari image layer; its pixels are read when asked for.

    RGB and RGBA, channels first or last, 8 bit, 16 bit or floats from 0 to 1,
    one level or a pyramid, numpy, dask or zarr.

    Parameters
    ----------
    layer : napari.layers.Image
    mpp : float, optional
        µm per level-0 pixel; default what the layer's scale and units say.
    name : str, optional
        Default the layer's, which a user may change at will.

    Raises
    ------
    ImageError
        Where the layer is no colour image of rows and columns.
    PixelSizeError
        Where the pixel size of the layer, or `mpp`, makes no sense.
    """
    levels = list(layer.data) if layer.multiscale else [layer.data]
    channel_first = _channel_first(layer, tuple(levels[0].shape))
    if mpp is None:
        mpp = pixel_size(layer)
    return ArraySource(levels, mpp=mpp, name=name or layer.name, channel_first=channel_first)


def _channel_first(layer: Any, shape: tuple[int, ...]) -> bool:
    """Whether the colours are the first axis; refuses what is no colour image."""
    name = layer.name
    if not layer.rgb and len(shape) == 2:
        raise ImageError(
            f"The layer {name!r} has a single channel: nuclei are detected on colour (H&E) "
            "images. If its colours were opened as three layers, select them in the layer list "
            "and choose 'Merge to RGB' from their context menu."
        )
    if len(shape) != 3:
        raise ImageError(
            f"The layer {name!r} has shape {shape}: nuclei are detected in one plane of rows, "
            "columns and colours. Take one plane of the stack first."
        )
    if layer.rgb:
        return False
    if shape[0] in (3, 4):
        return True
    if shape[-1] in (3, 4):
        raise ImageError(
            f"The layer {name!r} has its colours in the last axis, but is shown as a stack: "
            "add it with rgb=True."
        )
    raise ImageError(
        f"The layer {name!r} has {shape[0]} planes of a single channel (shape {shape}): nuclei "
        "are detected on colour (H&E) images with red, green and blue."
    )


def pixel_size(layer: Any) -> float | None:
    """µm per level-0 pixel of a layer, from its transform and units; None where it has none.

    The last two axes count. A scale without a unit of length (napari's default
    is the pixel) says nothing: it is not taken for micrometres.

    Raises
    ------
    PixelSizeError
        Where rows and columns differ by more than 5 %, or the size is not
        plausible for tissue.
    """
    zero = np.zeros(layer.ndim)
    corner = np.asarray(layer.data_to_world(zero))
    micrometres = np.array([unit_factor(unit, "micrometer") or np.nan for unit in layer.units])
    if np.isnan(micrometres[-2:]).any():
        return None
    micrometres[np.isnan(micrometres)] = 0.0  # a channel axis has no length
    sides = []
    for axis in (-2, -1):
        step = zero.copy()
        step[axis] = 1
        moved = np.asarray(layer.data_to_world(step)) - corner
        sides.append(float(np.linalg.norm(moved * micrometres)))
    y, x = sides
    if max(y, x) > MAX_ANISOTROPY * min(y, x):
        raise PixelSizeError(
            f"The layer {layer.name!r} has pixels of {y:g} x {x:g} µm; square ones are needed. "
            "Resample the image, or correct the scale of the layer."
        )
    return check_mpp((y * x) ** 0.5, of=f"layer {layer.name!r}")


def known_pixel_size(layer: Any) -> float | None:
    """`pixel_size`, or None where what the layer says makes no sense."""
    try:
        return pixel_size(layer)
    except PixelSizeError:
        return None


def unit_factor(unit: Any, into: Any) -> float | None:
    """How many of the unit `into` one `unit` (a pint unit) is; None where they do not compare."""
    if not unit.is_compatible_with(into):
        return None
    return float((1.0 * unit).to(into).magnitude)


def layer_transform(layer: Any) -> dict[str, Any]:
    """Arguments that put a 2-D layer where the last two axes of `layer` are."""
    shear = np.asarray(layer.shear)
    affine = np.asarray(layer.affine.affine_matrix)
    rows = [-3, -2, -1]
    return {
        "scale": np.asarray(layer.scale)[-2:],
        "translate": np.asarray(layer.translate)[-2:],
        "rotate": np.asarray(layer.rotate)[-2:, -2:],
        "shear": shear[-1:] if shear.ndim == 1 else shear[-2:, -2:],
        "affine": affine[np.ix_(rows, rows)],
        "units": tuple(layer.units)[-2:],
    }


def points_name(image_name: str) -> str:
    """Name of the points layer that belongs to an image layer."""
    return f"nuclei ({image_name})"


def points_features(nuclei: Nuclei) -> dict[str, NDArray[Any]]:
    """Columns id, score, label (class names), origin and ``p_<class>``, one row a nucleus."""
    columns: dict[str, NDArray[Any]] = {
        "id": nuclei.id,
        "score": nuclei.score,
        "label": nuclei.classes.to_names(nuclei.label),
        "origin": nuclei.origin,
    }
    if nuclei.prob is not None:
        columns |= {f"p_{n}": nuclei.prob[:, i] for i, n in enumerate(nuclei.classes.names)}
    return columns


def points_layer(
    nuclei: Nuclei, image_layer: Any, *, transform: dict[str, Any] | None = None
) -> LayerData:
    """Points layer of nuclei that lies on its image, in the look of this plugin.

    Parameters
    ----------
    nuclei : Nuclei
        In level-0 pixels of the image, which are the data coordinates of both layers.
    image_layer : napari.layers.Image
        Gives the name, and the place in the world unless `transform` does.
    transform : dict, optional
        As `layer_transform` returns it.

    Returns
    -------
    (data, keyword arguments, "points")
    """
    place = layer_transform(image_layer) if transform is None else transform
    arguments = {
        **place,
        **POINT_STYLE,
        "name": points_name(image_layer.name),
        "face_color": _face_colors(nuclei),
        "features": points_features(nuclei),
    }
    return nuclei.yx.astype(np.float64), arguments, "points"


def _face_colors(nuclei: Nuclei) -> Any:
    if not len(nuclei) or (nuclei.label < 0).all():
        return PROPOSAL_COLOR
    colors = np.array([*(c.color for c in nuclei.classes.classes), PROPOSAL_COLOR], dtype=object)
    return list(colors[nuclei.label])
