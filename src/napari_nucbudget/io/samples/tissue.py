"""Drawn H&E tissue in which the place and class of every nucleus is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_nucbudget.core.stain import HE_MATRIX, to_rgb
from napari_nucbudget.errors import RegionError
from napari_nucbudget.io.samples.anatomy import Anatomy, survey
from napari_nucbudget.io.samples.cells import MISCELLANEOUS, Cells, grow_cells
from napari_nucbudget.io.samples.noise import normal, smooth_noise, uniform
from napari_nucbudget.io.samples.nucleus import stain_cell
from napari_nucbudget.types.image import check_mpp
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["LONGEST_UM", "DrawnTissue", "draw_tissue", "glass_color"]

PIECE = 512
"""Side of the pieces in which an image is drawn, pixels; bounds the memory."""
REACH_UM = 14.0
"""No cell is drawn farther than this from its centre."""
LONGEST_UM = 12.0
"""No nucleus reaches farther than this from its centre."""
HAEMOGLOBIN = np.array([0.12, 0.72, 0.68], dtype=np.float32)
"""Optical density of red cells in R, G, B, length 1: they look orange beside eosin."""


@dataclass(frozen=True, eq=False)
class DrawnTissue:
    """An image and its truth.

    Attributes
    ----------
    rgb : (H, W, 3) uint8
    nuclei : Nuclei
        Every nucleus whose centre lies in the image, with its class.
    mpp : float
        µm per pixel.
    """

    rgb: NDArray[np.uint8]
    nuclei: Nuclei
    mpp: float


@dataclass(frozen=True)
class _Stain:
    """How one laboratory stained and one scanner saw: drawn once per seed."""

    haematoxylin: float
    eosin: float
    warmth: float
    white: float
    blur_um: float

    @classmethod
    def of(cls, seed: int) -> _Stain:
        def draw(channel: int, low: float, high: float) -> float:
            return float(uniform(seed + 71, channel, low=low, high=high)[0])

        return cls(
            haematoxylin=draw(1, 0.92, 1.12),
            eosin=draw(2, 0.85, 1.15),
            warmth=draw(3, 0.35, 0.65),
            white=draw(4, 0.035, 0.06),
            blur_um=draw(5, 0.2, 0.28),
        )


def draw_tissue(
    shape: tuple[int, int],
    *,
    mpp: float = 0.5,
    seed: int = 0,
    origin: tuple[int, int] = (0, 0),
    clear_um: float | None = None,
) -> DrawnTissue:
    """A window of an endless drawn tissue: glands, stroma, lymphocytes, fat, glass.

    Colour arises as in a microscope: amounts of haematoxylin and eosin, their
    optical densities, light, blur, photon noise. Everything follows from the
    seed and the place, so two windows agree where they overlap, and a slide of
    any size can be drawn piece by piece.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    mpp : float
        µm per pixel.
    seed : int
        Another seed is another tissue with another staining.
    origin : (int, int)
        Row and column of the window's first pixel in the endless tissue.
    clear_um : float, optional
        Leave out the cells whose centre is not at least so far inside the
        window. With `LONGEST_UM` none is cut by its border, so that windows
        can be laid side by side; by default cells reach across it.

    Raises
    ------
    RegionError
        Where the window is empty.
    PixelSizeError
        Where `mpp` is not plausible.
    """
    height, width = shape
    if height < 1 or width < 1:
        raise RegionError(f"Tissue of {height} x {width} pixels cannot be drawn; ask for 1 x 1 up.")
    check_mpp(mpp, of="drawn tissue")
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    found: list[Cells] = []
    inner = None
    if clear_um is not None:
        (top_um, left_um), (tall, wide) = (n * mpp for n in np.array([origin, shape]))
        inner = (
            top_um + clear_um,
            left_um + clear_um,
            top_um + tall - clear_um,
            left_um + wide - clear_um,
        )
    for top in range(0, height, PIECE):
        for left in range(0, width, PIECE):
            size = (min(PIECE, height - top), min(PIECE, width - left))
            corner = (origin[0] + top, origin[1] + left)
            pixels, cells = _draw_piece(corner, size, mpp, seed, inner)
            rgb[top : top + size[0], left : left + size[1]] = pixels
            found.append(cells)
    y = np.concatenate([c.y for c in found]) / mpp - 0.5 - origin[0]
    x = np.concatenate([c.x for c in found]) / mpp - 0.5 - origin[1]
    kind = np.concatenate([c.kind for c in found])
    order = np.lexsort((x, y))
    nuclei = Nuclei.from_points(np.stack([y, x], axis=1)[order], label=kind[order])
    return DrawnTissue(rgb, nuclei, mpp)


def glass_color(seed: int) -> NDArray[np.uint8]:
    """(3,) uint8 colour of bare glass in the tissue of a seed."""
    density = np.full(3, _Stain.of(seed).white, np.float32)
    return np.asarray(to_rgb(density) + 0.5).astype(np.uint8)


def _draw_piece(
    corner: tuple[int, int],
    size: tuple[int, int],
    mpp: float,
    seed: int,
    inner: tuple[float, float, float, float] | None = None,
) -> tuple[NDArray[np.uint8], Cells]:
    """(h, w, 3) pixels, and the nucleated cells whose centre lies in them.

    Cells outside `inner` (top, left, bottom, right in µm) are left out.
    """
    stain = _Stain.of(seed)
    sigma = stain.blur_um / mpp
    pad = int(4 * sigma + 1) + 1
    rows = np.arange(corner[0] - pad, corner[0] + size[0] + pad)
    columns = np.arange(corner[1] - pad, corner[1] + size[1] + pad)
    y, x = np.meshgrid((rows + 0.5) * mpp, (columns + 0.5) * mpp, indexing="ij")
    at = survey(y, x, seed=seed)
    amounts = _ground(at, y, x, mpp, seed)  # (h, w, 3): haematoxylin, eosin, haemoglobin

    box = (rows[0] * mpp, columns[0] * mpp, (rows[-1] + 1) * mpp, (columns[-1] + 1) * mpp)
    cells = grow_cells(
        (box[0] - REACH_UM, box[1] - REACH_UM, box[2] + REACH_UM, box[3] + REACH_UM), seed=seed
    )
    if inner is not None:
        top, left, bottom, right = inner
        cells = cells.select(
            (cells.y >= top) & (cells.y < bottom) & (cells.x >= left) & (cells.x < right)
        )
    for i in range(len(cells)):
        cy, cx = cells.y[i], cells.x[i]
        # Whole absolute pixels, so that a cell looks the same from every window.
        window = (_span(cy, mpp, int(rows[0])), _span(cx, mpp, int(columns[0])))
        if amounts[window].size:
            stain_cell(amounts[window], y[window], x[window], cells, i, mpp=mpp, seed=seed)

    density = _density(amounts, stain)
    density = gaussian_filter(density, (sigma, sigma, 0), truncate=4.0)
    own_pixels = np.s_[pad : pad + size[0], pad : pad + size[1]]
    light: NDArray[Any] = to_rgb(density[own_pixels])
    place = (rows[pad:-pad, None, None], columns[None, pad:-pad, None])
    grain = normal(seed + 81, *place, np.arange(3))
    # Photon noise grows with the root of the light that arrives.
    light = light + grain * (0.6 + 0.17 * np.sqrt(light))
    own = cells.kind <= MISCELLANEOUS
    own &= (cells.y >= corner[0] * mpp) & (cells.y < (corner[0] + size[0]) * mpp)
    own &= (cells.x >= corner[1] * mpp) & (cells.x < (corner[1] + size[1]) * mpp)
    return np.clip(light + 0.5, 0, 255).astype(np.uint8), cells.select(own)


def _span(centre: float, mpp: float, first: int) -> slice:
    """Pixels within `REACH_UM` of a centre, counted from pixel `first`, cut off at it."""
    start, stop = (centre - REACH_UM) // mpp, (centre + REACH_UM) // mpp + 1
    return slice(max(int(start) - first, 0), max(int(stop) - first, 0))


def _density(amounts: NDArray[np.float32], stain: _Stain) -> NDArray[np.float32]:
    """(h, w, 3) optical density of (h, w, 3) amounts of haematoxylin, eosin, haemoglobin.

    Eosin as scanners see it also takes away some blue, which Ruifrok's vector
    leaves to the residual; `warmth` is that share.
    """
    h = amounts[..., :1] * np.float32(stain.haematoxylin)
    e = amounts[..., 1:2] * np.float32(stain.eosin)
    rows = HE_MATRIX[:2].copy()
    rows[1] += np.float32(stain.warmth) * HE_MATRIX[2]
    blood = amounts[..., 2:] * HAEMOGLOBIN
    return np.asarray(h * rows[0] + e * rows[1] + blood + np.float32(stain.white), np.float32)


def _step(value: NDArray[Any], width: float) -> NDArray[np.float32]:
    """0 below, 1 above zero, with a ramp of `width` in between."""
    return np.clip(value / width + 0.5, 0.0, 1.0).astype(np.float32)


def _ground(
    at: Anatomy, y: NDArray[Any], x: NDArray[Any], mpp: float, seed: int
) -> NDArray[np.float32]:
    """Stain of everything but the cells' nuclei, (h, w, 3)."""
    soft = max(0.8, mpp)
    grain = smooth_noise(seed + 51, y / 1.3, x / 1.3)
    mottle = smooth_noise(seed + 52, y / 4.5, x / 4.5)
    cloud = smooth_noise(seed + 53, y / 17, x / 17)

    # Stroma: fibres run along the level sets of a potential, in bundles, with slits between.
    thread = smooth_noise(seed + 54, at.fibre / 1.9, y / 26, x / 26)
    bundle = smooth_noise(seed + 55, at.fibre / 7.5, y / 55, x / 55)
    loose = (0.5 + 0.5 * at.looseness) * _step(-at.depth - 9, 10)
    fine = smooth_noise(seed + 59, at.fibre / 0.8, y / 13, x / 13)
    crowd = np.clip(at.lymph, 0, 0.8) * _step(-at.depth - 3, 4)
    eosin = 0.33 + 0.11 * thread + 0.12 * bundle + 0.09 * fine + 0.04 * grain
    eosin = eosin - 0.15 * loose - 0.12 * crowd
    haem = 0.09 + 0.03 * cloud + 0.02 * grain + 0.03 * thread + 0.03 * fine + 0.12 * crowd
    streak = smooth_noise(seed + 60, at.fibre / 2.6, y / 19, x / 19)
    haem = haem + 0.22 * np.clip(streak - 0.3, 0, 0.8)
    slit = _step(-bundle - 0.52 + 0.22 * loose + 0.2 * thread, 0.25)
    holes = 0.7 * mottle + 0.4 * cloud + 0.3 * fine + 0.65 * loose + 0.4 * crowd
    slit = np.maximum(slit, _step(holes - 0.95, 0.35))
    slit = slit * _step(-at.depth - 2.5, 2.0) * 0.9
    eosin, haem = eosin * (1 - slit), haem * (1 - slit)
    membrane = np.exp(-(((at.depth + 1.0) / 0.9) ** 2)) * 0.14
    eosin = eosin + membrane

    # Epithelium: granular cytoplasm, paler towards the lumen, foamy in some glands.
    gland = _step(at.depth, soft)
    blue = uniform(seed, at.gland, 51, low=0.16, high=0.32)
    pale = np.clip((at.depth - 9.0) / 12.0, 0, 0.5)
    foamy = uniform(seed, at.gland, 52) < 0.35
    bubble = _step(smooth_noise(seed + 56, y / 5.5, x / 5.5) - 0.25, 0.5)
    bubble = bubble * np.where(foamy, 0.75, 0.12)
    body = (1 - 0.7 * pale) * (1 - bubble)
    cyto_h = (blue + 0.05 * grain + 0.05 * mottle + 0.03 * cloud) * body
    cyto_e = (0.30 + 0.07 * grain + 0.05 * mottle + 0.03 * thread) * body
    rim = at.depth - at.thickness + 1.8 * smooth_noise(seed + 57, y / 5, x / 5)
    lumen = _step(rim, soft)
    cyto_e = cyto_e + 0.12 * np.exp(-(((rim + 0.8) / 0.8) ** 2))
    secretion = _step(cloud + 0.5 * smooth_noise(seed + 58, y / 40, x / 40) - 0.45, 0.3)
    inside_e = cyto_e * (1 - lumen) + lumen * secretion * (0.16 + 0.05 * grain + 0.05 * mottle)
    inside_h = cyto_h * (1 - lumen) + lumen * secretion * 0.05
    haem = haem * (1 - gland) + inside_h * gland
    eosin = eosin * (1 - gland) + inside_e * gland

    # Fat dissolves in processing and leaves holes with a thin wall; beside the tissue is glass.
    hole, glass = _step(at.fat, soft), _step(at.glass, 2.0)
    eosin = eosin * (1 - hole) + 0.12 * np.exp(-((at.fat / 0.9) ** 2))
    eosin, haem = eosin * (1 - glass), haem * (1 - hole) * (1 - glass)
    layers = [np.maximum(haem, 0), np.maximum(eosin, 0), np.zeros_like(haem)]
    return np.stack(layers, axis=-1).astype(np.float32)
