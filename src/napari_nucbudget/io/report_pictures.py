"""The pictures of a slide report: the slide with what was computed, and maps of density."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from napari_nucbudget.core.density import bin_counts, bin_size
from napari_nucbudget.core.outline import Outlines
from napari_nucbudget.core.overview import Overview
from napari_nucbudget.core.tissue import TissueMask
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["PICTURE_STYLE", "THUMBNAIL_SIDE", "pictures"]

THUMBNAIL_SIDE = 900
"""Longer side of the thumbnail, pixels."""
LEAST_SQUARE_UM = 60
"""In smaller squares of a map, chance is larger than what differs between places."""
TISSUE_LINE = (0, 90, 200, 255)
PALE_TO_DARK = np.array([(255, 240, 220), (253, 174, 107), (230, 85, 13), (110, 30, 4)], float)
PICTURE_STYLE = """
.slides { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; flex: 1 1 24rem; }
figure.class { flex: 1 1 14rem; max-width: 20rem; }
.map { position: relative; overflow: hidden; background: #fff; border: 1px solid #ddd; }
.map img, .map svg { position: absolute; left: 0; top: 0; width: 100%; height: 100%; }
.map img.squares { image-rendering: pixelated; }
figcaption { color: #555; line-height: 1.4; margin-top: .3rem; }
.bar { display: flex; align-items: center; gap: .5rem; font-size: .85rem; margin-top: .3rem; }
.bar span { display: inline-block; flex: 1; height: .8rem; border: 1px solid #ddd; }
.region { fill: none; stroke: #111; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.halo { stroke: #fff; stroke-width: 5px; }
.scale { stroke: #111; stroke-width: 4px; vector-effect: non-scaling-stroke; }
.map .name { font-weight: 600; paint-order: stroke; stroke: #fff; stroke-linejoin: round; }
"""


@dataclass(frozen=True)
class _Frame:
    """What all pictures of a slide share."""

    shape: tuple[int, int]
    mpp: float
    line: str

    def map(self, inside: str) -> str:
        height, width = self.shape
        return f'<div class="map" style="aspect-ratio:{width}/{height}">{inside}</div>'


def pictures(
    nuclei: Nuclei,
    overview: Overview,
    tissue: TissueMask,
    regions: Mapping[str, Outlines],
    *,
    shape: tuple[int, int],
    mpp: float,
) -> str:
    """HTML of the slide beside the density of all nuclei, then of each class that occurs.

    Parameters
    ----------
    nuclei : Nuclei
    overview : Overview
    tissue : TissueMask
        What was computed; its border is drawn.
    regions : mapping of str to Outlines
    shape : (int, int)
        Of the slide.
    mpp : float
        µm per level-0 pixel.
    """
    line = _image(_border(tissue, overview.rgb.shape[:2]), "PNG", "border of the tissue")
    frame = _Frame(shape, mpp, line)
    drawn = f"{_regions(regions, shape)}{_scale(shape, mpp)}"
    slide = frame.map(
        _image(overview.rgb, "JPEG", "the slide") + line + _svg(drawn, shape, "regions and scale")
    )
    caption = "The slide; blue: the tissue that was computed" + (
        "; black: the regions." if regions else "."
    )
    side = bin_size(shape)
    while side * mpp < LEAST_SQUARE_UM or max(shape) / side > THUMBNAIL_SIDE / 3:
        side *= 2
    counts = bin_counts(nuclei, shape, side)
    figures = [
        f"<figure>{slide}<figcaption>{caption}</figcaption></figure>",
        _density(counts.sum(axis=-1), "All nuclei", side, frame, kind=""),
    ]
    rows = [f'<div class="slides">{"".join(figures)}</div>']
    names = [*nuclei.classes.names, nuclei.classes.name(-1)]
    if (nuclei.label >= 0).any():
        there = [i for i in range(len(names)) if counts[..., i].any()]
        each = [_density(counts[..., i], names[i], side, frame, kind="class") for i in there]
        rows.append(f'<h2>Density of each class</h2><div class="slides">{"".join(each)}</div>')
    return "\n".join(rows)


def _density(counts: NDArray[np.int32], title: str, side: int, frame: _Frame, *, kind: str) -> str:
    """A map in which darker is denser, with its scale."""
    mm2 = (side * frame.mpp * 1e-3) ** 2
    filled = counts[counts > 0]
    full = _rounded_up(float(np.percentile(filled, 99)) / mm2) if len(filled) else 1.0
    share = np.minimum(counts / mm2 / full, 1.0)
    at = np.linspace(0, 1, len(PALE_TO_DARK))
    rgb = np.stack([np.interp(share, at, channel) for channel in PALE_TO_DARK.T], axis=-1)
    rgb[counts == 0] = 255
    # The last squares reach beyond the slide.
    width = 100 * counts.shape[1] * side / frame.shape[1]
    height = 100 * counts.shape[0] * side / frame.shape[0]
    squares = _image(
        np.round(rgb).astype(np.uint8),
        "PNG",
        f"density: {title}",
        f'class="squares" style="width:{width:.3f}%;height:{height:.3f}%"',
    )
    colors = ", ".join(f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in PALE_TO_DARK)
    bar = (
        f'<div class="bar">0 <span style="background:linear-gradient(to right, {colors})"></span> '
        f"{full:,.0f} per mm² or more</div>"
    )
    caption = (
        f"{html.escape(title)}, per mm², in squares of {side * frame.mpp:.0f} µm; white: none."
    )
    return (
        f'<figure class="{kind}">{frame.map(squares + frame.line)}{bar}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    unit = 10 ** math.floor(math.log10(value))
    return float(next(n * unit for n in (1, 2, 3, 4, 5, 6, 8, 10) if n * unit >= value * 0.999))


def _border(tissue: TissueMask, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """(h, w, 4) a line along the inner border of the tissue, at the thumbnail's size."""
    rows, columns = (
        np.minimum(np.arange(n) * m // n, m - 1)
        for n, m in zip(size, tissue.mask.shape, strict=False)
    )
    mask = tissue.mask[np.ix_(rows, columns)]
    edge = mask & ~binary_erosion(mask, iterations=2, border_value=1)
    return np.where(edge[..., None], np.array(TISSUE_LINE, np.uint8), np.uint8(0))


def _regions(regions: Mapping[str, Outlines], shape: tuple[int, int]) -> str:
    size = max(shape) / 45
    parts = []
    for name, region in regions.items():
        rings = [ring for part in region.parts for ring in part.rings()]
        path = "".join(
            "M" + "L".join(f"{x + 0.5:.1f} {y + 0.5:.1f}" for y, x in ring.tolist()) + "Z"
            for ring in rings
        )
        top = max(rings[0].tolist(), key=lambda corner: -corner[0])
        parts.append(
            f'<path class="region halo" d="{path}"/><path class="region" d="{path}"/>'
            f'<text class="name" x="{top[1]:.0f}" '
            f'y="{max(top[0], size):.0f}" style="font-size:{size:.0f}px;'
            f'stroke-width:{size / 5:.0f}px">{html.escape(name)}</text>'
        )
    return "".join(parts)


def _scale(shape: tuple[int, int], mpp: float) -> str:
    """A bar of a round length, at most a quarter of the width."""
    most = shape[1] * mpp / 4
    unit = 10 ** math.floor(math.log10(most))
    um = max(n * unit for n in (1, 2, 5) if n * unit <= most)
    words = f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"
    y, x, size = shape[0] * 0.97, shape[1] * 0.03, max(shape) / 45
    return (
        f'<line class="scale" x1="{x:.0f}" x2="{x + um / mpp:.0f}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text class="name" x="{x:.0f}" y="{y - size / 3:.0f}" style="font-size:{size:.0f}px;'
        f'stroke-width:{size / 5:.0f}px">{words}</text>'
    )


def _svg(inside: str, shape: tuple[int, int], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {shape[1]} {shape[0]}" role="img"><title>{title}</title>{inside}</svg>'
    )


def _image(pixels: NDArray[np.uint8], kind: str, alt: str, more: str = "") -> str:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/{kind.lower()};base64,{data}" {more}>'
