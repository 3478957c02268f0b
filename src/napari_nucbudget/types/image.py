"""What inference and training see of an image: a shape, a pixel size, and `read`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, NucbudgetError, PixelSizeError, RegionError

__all__ = ["ArraySource", "ImageSource", "Level", "Region", "as_rgb8", "check_mpp", "mpp_differ"]

MPP_RANGE = (0.05, 10.0)
"""Pixel sizes in µm/px that light microscopy of tissue can have."""
DARKEST = 1 << 14
"""Below it nothing is, in an image of 16 bits, as bright as glass."""
WINDOWS, WINDOW = 4, 64
"""So many windows along each side are looked at for that, and their side in pixels."""
MPP_TOLERANCE = 0.05
"""Relative difference up to which two pixel sizes are taken for the same."""


@dataclass(frozen=True)
class Region:
    """Rectangle of whole level-0 pixels: rows y .. y + height, columns x .. x + width."""

    y: int
    x: int
    height: int
    width: int

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Region:
        return cls(0, 0, shape[0], shape[1])

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def area(self) -> int:
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def padded(self, by: int) -> Region:
        """The region grown by `by` pixels on every side."""
        return Region(self.y - by, self.x - by, self.height + 2 * by, self.width + 2 * by)

    def shifted(self, dy: int, dx: int) -> Region:
        """The region moved by (dy, dx)."""
        return Region(self.y + dy, self.x + dx, self.height, self.width)

    def clipped(self, shape: tuple[int, int]) -> Region:
        """The part of the region inside an image of `shape`.

        Raises
        ------
        RegionError
            Where nothing of it lies inside.
        """
        y, x = max(self.y, 0), max(self.x, 0)
        bottom, right = min(self.bottom, shape[0]), min(self.right, shape[1])
        if bottom <= y or right <= x:
            raise RegionError(
                f"The region y={self.y}, x={self.x}, height={self.height}, width={self.width} "
                f"does not overlap the image of {shape[0]} x {shape[1]} pixels."
            )
        return Region(y, x, bottom - y, right - x)

    def contains(self, yx: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of (N, 2) points lie in the region; a pixel reaches half a unit from its centre."""
        y, x = yx[:, 0] + 0.5, yx[:, 1] + 0.5
        inside: NDArray[np.bool_] = (
            (y >= self.y) & (y < self.bottom) & (x >= self.x) & (x < self.right)
        )
        return inside


@dataclass(frozen=True)
class Level:
    """One level of a pyramid: its shape and how many level-0 pixels one of its pixels spans."""

    shape: tuple[int, int]
    downsample: float


@runtime_checkable
class ImageSource(Protocol):
    """An H&E image of any size, read piecewise."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0."""
        ...

    @property
    def mpp(self) -> float | None:
        """µm per level-0 pixel, None where the image does not say."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]: ...

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        """(H, W, 3) pixels of `region`, which is in pixels of `level` and lies inside it."""
        ...


def check_mpp(mpp: float, *, of: str) -> float:
    """The pixel size itself, once it is known to be plausible.

    Raises
    ------
    PixelSizeError
        Where it lies outside 0.05 .. 10 µm/px.
    """
    low, high = MPP_RANGE
    if not low <= mpp <= high:
        raise PixelSizeError(
            f"A pixel size of {mpp:g} µm/px ({of}) is not plausible for tissue: "
            f"expected {low:g} to {high:g}. Give the right one (--mpp, or the dock's pixel size)."
        )
    return float(mpp)


def mpp_differ(one: float | None, other: float | None) -> bool:
    """Whether two pixel sizes contradict each other; one that is not known agrees with any."""
    return bool(one and other and abs(one / other - 1) > MPP_TOLERANCE)


def as_rgb8(pixels: NDArray[Any], *, of: str = "image") -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from RGB or RGBA in uint8, uint16 or float in [0, 1].

    Alpha is dropped, not blended: scanners store it opaque. Floats may overshoot
    the range by a thousandth, as interpolation makes them do; they are clipped.

    Raises
    ------
    ImageError
        For one-channel images, other channel counts, NaN, and floats outside [0, 1].
    """
    if pixels.ndim != 3 or pixels.shape[-1] not in (3, 4):
        raise ImageError(
            f"{of} has shape {pixels.shape}: nuclei are detected on colour (H&E) images, "
            "height x width x 3. Open a colour image, or merge its channels to RGB first."
        )
    rgb = pixels[..., :3]
    if rgb.dtype == np.uint8:
        return np.ascontiguousarray(rgb)
    if rgb.dtype.kind == "u" and rgb.dtype.itemsize == 2:  # of either byte order
        return np.ascontiguousarray((rgb >> 8).astype(np.uint8))
    if rgb.dtype == np.bool_ or not np.issubdtype(rgb.dtype, np.floating):
        raise ImageError(
            f"{of} holds {rgb.dtype} values; 8-bit, 16-bit, or floats from 0 to 1 are needed."
        )
    if not np.isfinite(rgb).all():
        raise ImageError(f"{of} holds values that are not numbers (NaN or infinite).")
    low, high = float(rgb.min(initial=0.0)), float(rgb.max(initial=0.0))
    if low < -1e-3 or high > 1 + 1e-3:
        raise ImageError(
            f"{of} holds floats from {low:g} to {high:g}; floats must lie in 0 .. 1. "
            "Convert the image to 8 bit."
        )
    return np.ascontiguousarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))


class ArraySource:
    """`ImageSource` over arrays in memory or lazily loaded ones (dask, zarr).

    Parameters
    ----------
    levels : sequence of array-like, or one array-like
        (H, W, 3 or 4), or (3 or 4, H, W) with `channel_first`; the largest first.
    mpp : float, optional
        µm per pixel of the first level.
    name : str
    channel_first : bool, optional
        Decided by the shape where not given.
    """

    def __init__(
        self,
        levels: Any,
        *,
        mpp: float | None = None,
        name: str = "image",
        channel_first: bool | None = None,
    ) -> None:
        arrays = list(levels) if isinstance(levels, (list, tuple)) else [levels]
        if not all(hasattr(each, "shape") for each in arrays):
            arrays = [np.asarray(levels)]  # nested lists of numbers
        first = arrays[0]
        shape = tuple(int(n) for n in first.shape)
        if len(shape) != 3:
            raise ImageError(
                f"{name} has shape {shape}: nuclei are detected on colour (H&E) images, "
                "height x width x 3. Open a colour image, or merge its channels to RGB first."
            )
        if channel_first is None:
            channel_first = shape[0] in (3, 4) and shape[-1] not in (3, 4)
        channels = shape[0] if channel_first else shape[-1]
        if channels not in (3, 4):
            raise ImageError(
                f"{name} has {channels} channel{'s' if channels != 1 else ''} (shape {shape}): "
                "nuclei are detected on colour (H&E) images with red, green and blue."
            )
        self._arrays = arrays
        self._looked_at = False
        self._channel_first = channel_first
        self.name = name
        self.mpp = None if mpp is None else check_mpp(mpp, of=name)
        sizes = [self._size(a) for a in arrays]
        if min(sizes[0]) < 1:
            raise ImageError(f"{name} is empty: {sizes[0][0]} x {sizes[0][1]} pixels.")
        if any(max(size) > max(sizes[0]) for size in sizes):
            raise ImageError(
                f"The levels of {name} must come largest first, got the sizes {sizes}."
            )
        self.shape = sizes[0]
        self.levels = tuple(Level(s, _downsample(sizes[0], s)) for s in sizes)

    def _size(self, array: Any) -> tuple[int, int]:
        shape = array.shape[1:] if self._channel_first else array.shape[:2]
        return int(shape[0]), int(shape[1])

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        shape = self.levels[level].shape
        if region.clipped(shape) != region:
            raise RegionError(f"{region} reaches outside level {level} of {self.name}, {shape}.")
        rows, columns = region.slices
        if not self._looked_at:
            self._refuse_few_bits()
            self._looked_at = True
        return as_rgb8(self._part(level, rows, columns), of=self.name)

    def _part(self, level: int, rows: slice, columns: slice) -> NDArray[Any]:
        array = self._arrays[level]
        if self._channel_first:
            return np.moveaxis(np.asarray(array[:, rows, columns]), 0, -1)
        return np.asarray(array[rows, columns])

    def _refuse_few_bits(self) -> None:
        """Refuse 12 bits of a camera in numbers of 16, which would be as dark as night.

        Windows all over the smallest level are looked at; glass and stained tissue are bright.
        """
        kind = getattr(self._arrays[-1], "dtype", None)
        if kind is None or np.dtype(kind) != np.uint16:
            return
        last = len(self._arrays) - 1
        spread = (np.arange(WINDOWS) + 0.5) / WINDOWS
        rows, columns = (
            np.maximum(spread * n - WINDOW / 2, 0).astype(int).tolist()
            for n in self.levels[last].shape
        )
        highest = 0
        for y, x in product(rows, columns):
            try:
                part = self._part(last, slice(y, y + WINDOW), slice(x, x + WINDOW))
            except (NucbudgetError, OSError, RuntimeError, ValueError):  # damage says nothing
                continue
            highest = max(highest, int(part.max()))
        if 0 < highest < DARKEST:
            raise ImageError(
                f"The brightest pixel of {self.name} is {highest:,} of 65,535: numbers of 16 bits "
                "that hold 10, 12 or 14. Spread them over the whole range (12 bits: times 16), or "
                "save the image with 8 bits."
            )


def _downsample(whole: tuple[int, int], level: tuple[int, int]) -> float:
    """Level-0 pixels per pixel of a level: a whole number where the shapes allow it.

    Writers shrink by whole numbers and round the shape of the level.
    """
    factor = max(whole) / max(level)
    near = round(factor)
    if all(abs(n / near - m) < 1 for n, m in zip(whole, level, strict=True)):
        return float(near)
    return factor
