"""OME-Zarr folders (NGFF 0.4 and 0.5) as an image source; a plain zarr array is one level."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, NucbudgetError, SlideGoneError
from napari_nucbudget.io.tiff_header import MAX_SEGMENT_BYTES, TO_UM, square_mpp
from napari_nucbudget.io.tiled import TileCache, TiledLevel
from napari_nucbudget.types.image import ArraySource

__all__ = ["ZarrSource", "is_zarr"]

MARKERS = ("zarr.json", ".zgroup", ".zarray")
LARGEST_FIRST = "multiscales"
UNITS = {
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    **TO_UM,
}


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr group or array."""
    return any((path / marker).is_file() for marker in MARKERS)


class ZarrSource(ArraySource):
    """`ImageSource` over a zarr folder; chunks are decoded when they are read.

    A chunk that is not stored holds the array's fill value, by zarr's rules;
    a folder that disappears is an error, never an empty image.

    Raises
    ------
    ImageError
        Where the folder is damaged, or holds no colour image in one plane.
    PixelSizeError
        Where the pixel size makes no sense and `mpp` is not given.
    """

    def __init__(self, path: Path, *, mpp: float | None = None, name: str | None = None) -> None:
        import zarr

        self.path = path
        try:
            node: Any = zarr.open(str(path), mode="r")
            arrays, axes, stated = _levels_of(path, node)
            planes = [_plane(path, array, axes) for array in arrays]
        except NucbudgetError:
            raise
        except Exception as error:  # zarr and json raise many kinds for damaged metadata
            raise ImageError(
                f"{path} is damaged: its zarr metadata cannot be read "
                f"({error or type(error).__name__}). Copy the folder again."
            ) from error
        cache = TileCache()
        levels: list[Any] = []
        for number, (array, plane) in enumerate(zip(arrays, planes, strict=True)):
            shape, tile = plane.shape, plane.chunks
            if math.prod((*tile, shape[2])) * array.dtype.itemsize > MAX_SEGMENT_BYTES:
                raise ImageError(
                    f"{path} stores level {number} in chunks of {tile[0]} x {tile[1]} pixels, "
                    "which cannot be read in parts. Save it in smaller chunks."
                )
            if number and shape[0] * shape[1] >= levels[-1].shape[0] * levels[-1].shape[1]:
                continue  # a level that is not smaller is of no use
            levels.append(
                TiledLevel(
                    shape,
                    array.dtype,
                    tile=tile,
                    decode=plane.decode,
                    path=str(path),
                    number=len(levels),
                    cache=cache,
                )
            )
        if mpp is None and stated is not None:
            mpp = square_mpp(*stated, of=str(path))
        super().__init__(levels, mpp=mpp, name=name or path.name, channel_first=False)

    @property
    def arrays(self) -> list[Any]:
        return list(self._arrays)


class _Plane:
    """The colour plane of an array with any order of axes, cut by its chunks."""

    def __init__(self, path: Path, array: Any, axes: str) -> None:
        self._path, self._array, self._axes = path, array, axes
        sizes = dict(zip(axes, array.shape, strict=True))
        chunks = dict(zip(axes, array.chunks, strict=True))
        self.shape = (int(sizes["y"]), int(sizes["x"]), int(sizes["c"]))
        self.chunks = (int(chunks["y"]), int(chunks["x"]))

    def decode(self, row: int, column: int) -> NDArray[Any]:
        height, width = self.chunks
        at = {
            "y": slice(row * height, (row + 1) * height),
            "x": slice(column * width, (column + 1) * width),
            "c": slice(None),
        }
        pixels = np.asarray(self._array[tuple(at.get(axis, 0) for axis in self._axes)])
        if not is_zarr(self._path):  # zarr takes an absent chunk for an empty one
            raise SlideGoneError(
                f"{self._path} disappeared while it was read. Is its disk or server still there? "
                "Run again once it is."
            )
        left = [axis for axis in self._axes if axis in at]
        return np.transpose(pixels, [left.index(axis) for axis in "yxc"])


def _plane(path: Path, array: Any, axes: str) -> _Plane:
    sizes = dict(zip(axes, array.shape, strict=True))
    stack = [f"{axis}: {n}" for axis, n in sizes.items() if axis not in "yxc" and n > 1]
    if stack:
        raise ImageError(
            f"{path} holds a stack ({', '.join(stack)}): nuclei are detected in one colour image "
            "at a time. Save the wanted plane alone."
        )
    if "c" not in sizes or "y" not in sizes or "x" not in sizes:
        raise ImageError(
            f"{path} has one channel (axes {axes}, {tuple(array.shape)}): nuclei are detected on "
            "colour (H&E) images. Open the colour original."
        )
    return _Plane(path, array, axes)


def _levels_of(path: Path, node: Any) -> tuple[list[Any], str, tuple[float, float] | None]:
    """Arrays, the largest first, their axes by letter, and µm per row and column."""
    if hasattr(node, "shape"):
        axes = "yxc" if node.ndim == 3 and node.shape[2] in (3, 4) else "tczyx"[-node.ndim :]
        return [node], axes, None
    attributes = dict(node.attrs)
    attributes = attributes.get("ome", attributes)
    if LARGEST_FIRST not in attributes:
        if "0" in node and not hasattr(node["0"], "shape"):  # the layout of bioformats2raw
            return _levels_of(path, node["0"])
        raise ImageError(
            f"{path} is a zarr group without OME metadata (multiscales): give the folder of the "
            "image itself, or convert it to OME-Zarr."
        )
    image = attributes[LARGEST_FIRST][0]
    described = image.get("axes") or [{"name": a} for a in "tczyx"]
    described = [{"name": a} if isinstance(a, str) else a for a in described]
    axes = "".join(str(a["name"])[:1].lower() for a in described)
    datasets = image["datasets"]
    if not datasets:
        raise ImageError(f"{path} lists no levels: it holds no image.")
    arrays = [node[str(d["path"])] for d in datasets]
    scale = _scale(datasets[0], len(axes)) * _scale(image, len(axes))
    pair = []
    for axis in "yx":
        unit = UNITS.get(str(described[axes.index(axis)].get("unit", "")).lower())
        if unit is None:
            return arrays, axes, None
        pair.append(float(scale[axes.index(axis)]) * unit)
    return arrays, axes, (pair[0], pair[1]) if min(pair) > 0 else None


def _scale(entry: Any, ndim: int) -> NDArray[np.float64]:
    """Product of the scales among an entry's transformations."""
    product = np.ones(ndim)
    for step in entry.get("coordinateTransformations", ()):
        if step.get("type") == "scale":
            product = product * np.asarray(step["scale"], dtype=float)
    return product
