"""Which image of a project a layer shows, and where the project of an image lies."""

from __future__ import annotations

import hashlib
import re
import weakref
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_nucbudget.bridge.layers import image_source, known_pixel_size
from napari_nucbudget.errors import ProjectError
from napari_nucbudget.project import SUFFIX, ProjectImage, ProjectStore
from napari_nucbudget.project.recovery import data_folder
from napari_nucbudget.types.image import ImageSource, mpp_differ
from napari_nucbudget.ui.viewport import image_shape

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = [
    "content_tag",
    "file_of",
    "former_image",
    "link",
    "open_pixels",
    "project_for",
    "take_pixel_size",
]

WHOLE_PX = 1 << 22
SAMPLE_PX = 64
SQUARES = 8
PLANES = 4
SAME_SIZE = 1e-3
"""Relative difference of two pixel sizes that rounding makes."""
_TAGS: weakref.WeakKeyDictionary[Any, tuple[Any, str]] = weakref.WeakKeyDictionary()
"""The data of layers that were looked at, and what came of it."""


def file_of(layer: Image) -> Path | None:
    """The image file that a layer was read from; None for arrays, folders and web addresses."""
    path = layer.source.path
    if not path:
        return None
    file = Path(path)
    return file if file.is_file() else None


def content_tag(layer: Image) -> str:
    """Eight letters that tell the pixels of an array from those of another, of whatever kind.

    All pixels of the smallest level are looked at up to four million a plane and four planes an
    axis, else squares all over it.
    """
    data = layer.data[-1] if layer.multiscale else layer.data
    known = _TAGS.get(layer)
    if known is not None and known[0] is data:
        return known[1]
    digest = hashlib.blake2b(digest_size=4)
    digest.update(repr((image_shape(layer), tuple(data.shape), str(data.dtype))).encode())
    for part in _looked_at(tuple(data.shape), bool(layer.rgb)):
        digest.update(np.ascontiguousarray(data[part]).tobytes())
    tag = digest.hexdigest()
    _TAGS[layer] = (data, tag)
    return tag


def _looked_at(shape: tuple[int, ...], rgb: bool) -> Iterator[tuple[slice, ...]]:
    """Parts of an array of that shape which stand for all of it."""
    last = len(shape) - 1 if rgb else len(shape)
    leading, (height, width) = shape[: last - 2], shape[last - 2 : last]
    planes = product(*(_spread(n, 1, PLANES) for n in leading))
    whole = height * width <= WHOLE_PX
    rows = [slice(0, height)] if whole else _spread(height, SAMPLE_PX, SQUARES)
    columns = [slice(0, width)] if whole else _spread(width, SAMPLE_PX, SQUARES)
    for plane in planes:
        for row, column in product(rows, columns):
            yield (*plane, row, column)


def _spread(length: int, size: int, most: int) -> list[slice]:
    """At most so many pieces of `size`, evenly over `length`, both ends among them."""
    starts = np.linspace(0, max(length - size, 0), min(most, length)).round().astype(int)
    return [slice(start, start + size) for start in np.unique(starts).tolist()]


def project_for(layer: Image) -> Path:
    """The project that an image belongs to until a person says otherwise.

    The one that bears its name beside it, else the one that was changed last in that folder,
    else a new one. Arrays and samples have theirs in the user's data folder.
    """
    file = file_of(layer)
    if file is None or layer.source.sample is not None:
        name = re.sub(r"[^\w .-]+", "_", layer.name).strip(" .") or "image"
        return data_folder() / "projects" / f"{name}-{content_tag(layer)}{SUFFIX}"
    own = file.with_suffix(SUFFIX)
    others = [path for path in file.parent.glob(f"*{SUFFIX}") if path.is_file()]
    if own.exists() or not others:
        return own
    return max(others, key=lambda path: path.stat().st_mtime)


def link(
    store: ProjectStore, layer: Image, *, add: bool, mpp: float | None = None
) -> tuple[int | None, str]:
    """Id of the project image that `layer` shows, and what a person should know about it.

    A file is known by its header block and size wherever it lies now; an array by its shape
    and pixels. With `add` an image that is new is entered.

    Raises
    ------
    ProjectError
        Where the file is one of the project's, but was changed since.
    """
    shape, file = image_shape(layer), file_of(layer)
    size = known_pixel_size(layer) or mpp
    image = _known_array(store, layer) if file is None else _known_file(store, file, shape)
    if image is not None:
        return image.id, _checked(store, image, file, size)
    if not add:
        return None, ""
    if file is not None:
        return store.add_image(shape, path=file, mpp=size), ""
    name = f"{layer.name} [{content_tag(layer)}]"
    return store.add_image(shape, name=name, mpp=size), ""


def _known_array(store: ProjectStore, layer: Image) -> ProjectImage | None:
    tag = f"[{content_tag(layer)}]"
    for image in store.images:
        if image.path is None and image.shape == image_shape(layer) and tag in image.name:
            return image
    return None


def _known_file(store: ProjectStore, file: Path, shape: tuple[int, int]) -> ProjectImage | None:
    known = store.known_image(file, shape)
    if known is not None:
        return known
    former = _of_path(store, file)
    if former is not None:
        raise ProjectError(
            f"{file} was changed since its nuclei were set: its first bytes, its size or its "
            f"shape differ. Its nuclei ({_total(store, former):,}) are kept and not shown on it. "
            "Open the former file, or choose 'Use the changed file' in the dock."
        )
    return None


def former_image(store: ProjectStore, layer: Image) -> ProjectImage | None:
    """The image of the project that had the layer's file before it was changed."""
    file = file_of(layer)
    return None if file is None else _of_path(store, file)


def _of_path(store: ProjectStore, file: Path) -> ProjectImage | None:
    for image in store.images:
        if image.absolute is not None and Path(image.absolute) == file.absolute():
            return image
    return None


def _total(store: ProjectStore, image: ProjectImage) -> int:
    return sum(count.human + count.proposed for count in store.counts(image.id).values())


def _checked(store: ProjectStore, image: ProjectImage, file: Path | None, mpp: float | None) -> str:
    """Bring what the project knows of an image up to date, or say what does not fit."""
    if not store.read_only:
        if file is not None and store.image_file(image.id)[0] != "found":
            store.relink(image.id, file)
        if image.mpp is None and mpp is not None:
            store.describe_image(image.id, mpp=mpp)
    if mpp_differ(mpp, image.mpp):
        return (
            f"The layer of {image.name} says {mpp:.4g} µm/px, the project {image.mpp:.4g}. "
            "The nuclei lie right. Type the right pixel size in the dock Detect nuclei, and press "
            "'Set on layer', before anything is counted, checked or trained."
        )
    return ""


def take_pixel_size(store: ProjectStore, image: int, mpp: float) -> str:
    """Put another µm per pixel into the project; a sentence where it had one before."""
    about = store.image(image)
    if about.mpp is not None and abs(mpp / about.mpp - 1) < SAME_SIZE:
        return ""
    store.describe_image(image, mpp=mpp)
    if about.mpp is None:
        return ""
    return f"{about.name} has {mpp:.4g} µm/px from now on; it had {about.mpp:.4g}."


def open_pixels(
    store: ProjectStore | None, image: ProjectImage, layer: Image | None
) -> ImageSource:
    """Pixels of a project image, of its layer where there is one, else of its file.

    Raises
    ------
    ImageError, ProjectError
        Where neither is there.
    """
    if layer is not None:
        return image_source(layer, mpp=image.mpp or known_pixel_size(layer), name=image.name)
    if store is None:
        raise ProjectError("No project is open: open or start one first.")
    from napari_nucbudget.io.images import open_image

    state, path = store.image_file(image.id)
    if state != "found" or path is None:
        what = "has no file" if state == "none" else f"is {state}"
        raise ProjectError(
            f"The image {image.name!r} {what}, so its pixels cannot be read. Open it in the viewer."
        )
    return open_image(str(path), mpp=image.mpp)
