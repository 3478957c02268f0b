"""Where the tissue lies on a slide: saturation and Otsu's threshold, without pen and dirt.

Haematoxylin and eosin colour tissue; glass is grey. So saturation tells them
apart (as in Otsu 1979 for the threshold), computed in 8 bit. H&E never makes
green the strongest channel, and is never dark without a colour: that is pen.
Folds are tissue, only darker, and are kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_nucbudget.core.overview import read_overview
from napari_nucbudget.errors import ConfigError, RegionError
from napari_nucbudget.types.image import ImageSource, Region

__all__ = ["OVERVIEW_UM", "TissueMask", "find_tissue", "otsu_threshold", "tissue_mask"]

OVERVIEW_UM = 8.0
"""Pixel size, µm, at which tissue is looked for."""
GRID_UM = 16.0
"""Size of the squares, µm, that are tissue or not."""
SATURATION_RANGE = (14, 30)
"""Otsu's threshold is held between these (of 255): a slide of glass alone, or of tissue
alone, has no valley, and would be cut somewhere within its one kind."""
PEN_GREEN = 12
"""Green above red by so much is blue or green ink."""
PEN_BLUE = 70
"""Blue above red by so much is blue ink; haematoxylin stays below."""
DARK, GREY = 100, 28
"""Brightest channel below the first and channels within the second: black ink, shadow, no data."""
PEN_MARGIN_UM = 32.0
"""Around ink its colour bleeds, by JPEG and by blur."""
CLOSING_UM = 40.0
"""Gaps that are closed: lumina, clefts, the walls of fat cells."""
SMALLEST_MM2 = 0.01
"""Smaller pieces are dust."""
LARGEST_HOLE_MM2 = 0.03
"""Smaller holes are fat cells and lumina: tissue."""
ROUNDED = 2
"""Squares by which a mask may be larger or smaller than its slide."""
MISFIT = 0.1
"""Part of a side by which it may be."""
ROWS = 64
"""Rows that are computed together, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Which squares of a slide are tissue.

    Attributes
    ----------
    mask : (h, w) bool
    step : float
        Level-0 pixels per square: square (i, j) covers the level-0 rows
        ``i * step`` to ``(i + 1) * step`` and columns likewise.
    """

    mask: NDArray[np.bool_]
    step: float

    @property
    def share(self) -> float:
        """Part of the slide that is tissue, 0 .. 1."""
        return float(self.mask.mean()) if self.mask.size else 0.0

    def area_mm2(self, mpp: float, shape: tuple[int, int] | None = None) -> float:
        """Area of the tissue with level-0 pixels of `mpp` µm; of that on a slide of `shape`."""
        sides = [np.full(n, self.step) for n in self.mask.shape]
        if shape is not None:
            sides = [
                np.clip(length - np.arange(n) * self.step, 0.0, self.step)
                for n, length in zip(self.mask.shape, shape, strict=True)
            ]
        return float(sides[0] @ self.mask @ sides[1]) * (mpp * 1e-3) ** 2

    def overlaps(self, region: Region) -> bool:
        """Whether any part of a level-0 region is tissue."""
        top, left = max(0, int(region.y / self.step)), max(0, int(region.x / self.step))
        bottom, right = (max(0, math.ceil(n / self.step)) for n in (region.bottom, region.right))
        return bool(self.mask[top:bottom, left:right].any())

    def contains(self, yx: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which of (N, 2) level-0 points (pixel centres at whole numbers) lie on tissue."""
        index = np.floor((np.asarray(yx, np.float64) + 0.5) / self.step).astype(np.int64)
        # The last square also stands for the part of a square that rounding cut off.
        last = np.array(self.mask.shape) - 1
        inside = ((index >= 0) & (index <= last + ROUNDED)).all(axis=1)
        index = np.clip(index, 0, last)
        found: NDArray[np.bool_] = inside & self.mask[index[:, 0], index[:, 1]]
        return found

    @classmethod
    def from_array(cls, mask: NDArray[np.generic], shape: tuple[int, int]) -> TissueMask:
        """A drawn or loaded mask, (h, w), anything but 0 is tissue, for a slide of `shape`.

        Raises
        ------
        RegionError
            Where its proportions are not the slide's.
        """
        if mask.ndim != 2 or not mask.size:
            raise RegionError(f"A tissue mask is one plane of rows and columns, got {mask.shape}.")
        step = max(shape) / max(mask.shape)
        if any(
            abs(n - m * step) > min(ROUNDED * step, MISFIT * n)
            for n, m in zip(shape, mask.shape, strict=True)
        ):
            raise RegionError(
                f"A tissue mask of {mask.shape[0]} x {mask.shape[1]} pixels does not fit a slide "
                f"of {shape[0]} x {shape[1]}: their proportions differ. Is it another slide's?"
            )
        return cls(mask != 0, step)


def find_tissue(source: ImageSource, *, mpp: float) -> TissueMask:
    """Tissue of a slide from a low level of its pyramid.

    Places that do not decode count as tissue, so that whatever runs on the
    mask meets them, instead of taking them for glass.

    Parameters
    ----------
    source : ImageSource
    mpp : float
        µm per level-0 pixel.

    Raises
    ------
    SlideGoneError
        Where the slide disappears meanwhile.
    """
    overview = read_overview(source, step=max(1.0, OVERVIEW_UM / mpp))
    found = TissueMask(tissue_mask(overview.rgb, mpp=mpp * overview.step), overview.step)
    if not overview.missing:
        return found
    mask = found.mask.copy()
    for place in overview.missing:
        mask[place.slices] = True
    return replace(found, mask=mask)


def tissue_mask(rgb: NDArray[np.uint8], *, mpp: float) -> NDArray[np.bool_]:
    """(h, w) bool: which pixels of a slide's overview show tissue.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        The whole slide in small, so that Otsu's threshold sees its glass too.
    mpp : float
        µm per pixel of `rgb`; 4 to 16 are best.

    Raises
    ------
    ConfigError
        Where `rgb` is no 8-bit colour image.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ConfigError(
            f"Tissue is found on (h, w, 3) 8-bit pixels, got {rgb.shape} {rgb.dtype}."
        )
    height, width = rgb.shape[:2]
    if not height or not width:
        return np.zeros((height, width), np.bool_)
    # Every fourth row suffices for a histogram.
    threshold = otsu_threshold(_saturations(rgb[::4]))
    threshold = min(max(threshold, SATURATION_RANGE[0]), SATURATION_RANGE[1])
    side = max(1, round(GRID_UM / mpp))
    stained, ink, dark = _squares(rgb, threshold, side)
    coarse = _tidied(stained, ink, dark, side * side, mpp * side)
    return np.repeat(np.repeat(coarse, side, axis=1)[:, :width], side, axis=0)[:height]


def otsu_threshold(counts: NDArray[np.integer]) -> int:
    """First value of the upper class: Otsu's threshold of a histogram.

    The split with the largest variance between the classes (Otsu 1979,
    equation 14); 0 where all values are the same.
    """
    share = counts.astype(np.float64)
    below = np.cumsum(share)[:-1]
    moments = np.cumsum(share * np.arange(len(share)))
    above = share.sum() - below
    split = (below > 0) & (above > 0)
    if not split.any():
        return 0
    between = np.zeros(len(below))
    between[split] = (moments[-1] * below - share.sum() * moments[:-1])[split] ** 2
    between[split] /= (below * above)[split]
    return int(between.argmax()) + 1


def _saturations(rgb: NDArray[np.uint8]) -> NDArray[np.intp]:
    """(256,) histogram of the saturation 0 .. 255."""
    table = _saturation_table()
    counts = np.zeros(256, np.intp)
    for top in range(0, len(rgb), ROWS):
        largest, spread, _, _ = _colours(rgb[top : top + ROWS])
        index = largest.astype(np.uint16) << 8 | spread
        counts += np.bincount(np.take(table, index).ravel(), minlength=256)
    return counts


def _saturation_table() -> NDArray[np.uint8]:
    """Saturation 0 .. 255 by largest channel * 256 + its distance to the smallest."""
    largest = np.arange(256)[:, None]
    spread = np.minimum(np.arange(256), largest)
    return np.asarray(spread * 255 // np.maximum(largest, 1), np.uint8).ravel()


def _squares(rgb: NDArray[np.uint8], threshold: int, side: int) -> NDArray[np.unsignedinteger]:
    """(3, h, w) how many pixels of every square of `side` are stained, ink and dark."""
    height, width = (math.ceil(n / side) for n in rgb.shape[:2])
    counts = np.zeros((3, height, width), np.uint8 if side < 16 else np.uint32)
    band = max(1, ROWS // side)
    for top in range(0, height, band):
        largest, spread, ink, dark = _colours(rgb[top * side : (top + band) * side])
        # spread * 255 // largest >= threshold > 0 without the division; 255 * 255 is 16 bits.
        stained = np.multiply(spread, 255, dtype=np.uint16) >= np.multiply(
            largest, threshold, dtype=np.uint16
        )
        stained &= spread > 0
        for kind, flags in zip(counts, (stained, ink, dark), strict=True):
            _count(flags, side, out=kind[top : top + band])
    return counts


def _colours(
    rgb: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Largest channel, its distance to the smallest, coloured ink, what is dark without a colour.

    All (h, w). The distance, and so the saturation, of the latter two is 0.
    """
    red, green, blue = (np.ascontiguousarray(rgb[:, :, c]) for c in range(3))
    largest = np.maximum(np.maximum(red, green), blue)
    spread = largest - np.minimum(np.minimum(red, green), blue)
    # Unsigned differences that cannot wrap: a - min(a, b).
    ink = (green - np.minimum(green, red)) > PEN_GREEN
    ink |= (blue - np.minimum(blue, red)) > PEN_BLUE
    dark = (largest < DARK) & (spread < GREY)
    spread *= ~(ink | dark)
    return largest, spread, ink, dark


def _count(flags: NDArray[np.bool_], side: int, *, out: NDArray[np.unsignedinteger]) -> None:
    """Add to `out` how many pixels are set in every square of `side`; the last may be smaller."""
    if not flags.any():
        return
    rows = np.zeros((len(out), flags.shape[1]), out.dtype)
    for first in range(side):
        part = flags[first::side]
        rows[: len(part)] += part.view(np.uint8)
    for first in range(side):
        column = rows[:, first::side]
        out[:, : column.shape[1]] += column


def _tidied(
    stained: NDArray[np.unsignedinteger],
    ink: NDArray[np.unsignedinteger],
    dark: NDArray[np.unsignedinteger],
    full: int,
    um: float,
) -> NDArray[np.bool_]:
    """Tissue on a grid of squares of `um` µm and `full` pixels: without ink, dust, small holes."""
    # A lone dark square is a speck of pigment or a fold; a stroke of black ink is wider.
    stroke = dark > full // 2
    if stroke.any():
        stroke = _grown(~_grown(~stroke, 1), 1)
    near = _grown(stroke | (ink > full // 4), round(PEN_MARGIN_UM / um))
    mask = (stained > full // 3) & ~near
    reach = max(1, round(CLOSING_UM / um / 2))
    mask = ~_grown(~_grown(np.pad(mask, reach, mode="edge"), reach), reach)
    mask = mask[reach:-reach, reach:-reach] & ~near
    tissue = _without_small(mask, SMALLEST_MM2 / (um * 1e-3) ** 2)
    largest_hole = LARGEST_HOLE_MM2 / (um * 1e-3) ** 2
    return ~_without_small(~tissue, largest_hole, border=True) & ~near


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask with a border of `by` squares to all sides, also across corners."""
    if not mask.any():
        return mask
    tall = mask.copy()
    for shift in range(1, min(by, mask.shape[0] - 1) + 1):
        tall[shift:] |= mask[:-shift]
        tall[:-shift] |= mask[shift:]
    wide = tall.copy()
    for shift in range(1, min(by, mask.shape[1] - 1) + 1):
        wide[:, shift:] |= tall[:, :-shift]
        wide[:, :-shift] |= tall[:, shift:]
    return wide


def _without_small(
    mask: NDArray[np.bool_], smallest: float, *, border: bool = False
) -> NDArray[np.bool_]:
    """Without the connected parts of fewer than `smallest` squares.

    With `border`, parts that touch the border stay, since they go on beyond it.
    """
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    flat = labels.ravel()
    # Run by run of one label: they are far fewer than squares.
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=len(flat))
    runs = flat[starts]
    large = np.bincount(runs, weights=lengths, minlength=count + 1) >= smallest
    if border:
        edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
        large[np.concatenate(edges)] = True
    large[0] = False
    kept: NDArray[np.bool_] = np.repeat(large[runs], lengths).reshape(mask.shape)
    return kept
