"""A page to look at for a slide: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.density import bin_counts, bin_size, density_picture
from napari_nucbudget.core.overview import Overview
from napari_nucbudget.core.statistics import ClassStatistics
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.slide_runs import FinalTable, SlideRunFolder
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["REPORT_FILE", "THUMBNAIL_SIDE", "write_report"]

REPORT_FILE = "report.html"
THUMBNAIL_SIDE = 900
"""Longer side of the thumbnail, pixels."""
NO_CLASS = "#d7263d"
SCORE_BINS = 40
MOST_SKIPPED = 50
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 62rem;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .25rem .7rem; text-align: right;
  border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
th { font-weight: 600; } td:first-child, th:first-child { text-align: left; }
.slides { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; flex: 1 1 24rem; }
.map { position: relative; line-height: 0; } .map img { width: 100%; }
.map img + img { position: absolute; left: 0; top: 0; height: 100%; image-rendering: pixelated; }
.pale { opacity: .45; } figcaption { color: #555; line-height: 1.4; margin-top: .3rem; }
.dot { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .4em; }
svg text { font: 12px system-ui, sans-serif; fill: #444; }
"""


def write_report(
    run: SlideRunFolder,
    table: FinalTable,
    nuclei: Nuclei,
    rows: Sequence[ClassStatistics],
    overview: Overview,
    *,
    mpp: float,
) -> Path:
    """Write the report of a finished run into its folder.

    Parameters
    ----------
    run, table
        The finished run.
    nuclei : Nuclei
        Its nuclei.
    rows : sequence of ClassStatistics
        Of its tissue.
    overview : Overview
        The slide in small.
    mpp : float
        µm per level-0 pixel.

    Raises
    ------
    OutputError
        Where the page cannot be written.
    """
    slide = run.facts["slide"]
    shape = (int(slide["shape"][0]), int(slide["shape"][1]))
    name = html.escape(str(slide["name"]))
    size = (
        f"{shape[0]:,} x {shape[1]:,} pixels of {mpp:.4g} µm "
        f"({shape[0] * mpp * 1e-3:.2f} x {shape[1] * mpp * 1e-3:.2f} mm)"
    )
    parts = [
        f"<h1>{name}</h1><p>{size}. {table.nuclei:,} nuclei on {rows[0].area_mm2:.3g} mm² of "
        f"tissue: {rows[0].per_mm2:,.0f} per mm².</p>",
        _damage(table),
        _pictures(nuclei, overview, shape, mpp),
        "<h2>Counts and densities</h2>",
        _counts(rows, nuclei),
        "<h2>Scores</h2>",
        _histogram(nuclei.score, float(run.facts["settings"]["threshold"])),
        "<h2>Settings</h2>",
        _facts(run.facts["settings"]),
        "<h2>Versions</h2>",
        _facts(run.facts["versions"]),
    ]
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
    path = run.path / REPORT_FILE
    write_atomically(path, page.encode())
    return path


def _damage(table: FinalTable) -> str:
    if not table.skipped:
        return ""
    places = "".join(
        f"<li>y={r.y:,}, x={r.x:,}, {r.height} x {r.width} pixels: {html.escape(reason)}</li>"
        for r, reason in table.skipped[:MOST_SKIPPED]
    )
    more = len(table.skipped) - MOST_SKIPPED
    places += f"<li>and {more:,} more, see skipped.csv</li>" if more > 0 else ""
    return (
        f"<p><strong>{len(table.skipped):,} places do not decode; no nuclei were sought "
        f"there.</strong></p><ul>{places}</ul>"
    )


def _pictures(nuclei: Nuclei, overview: Overview, shape: tuple[int, int], mpp: float) -> str:
    from PIL import ImageColor

    side = bin_size(shape)
    while max(shape) / side > THUMBNAIL_SIDE / 3:  # squares that can be seen
        side *= 2
    counts = bin_counts(nuclei, shape, side)
    colors = [*(c.color for c in nuclei.classes.classes), NO_CLASS]
    rgb = np.array([ImageColor.getrgb(color)[:3] for color in colors]) / 255
    densest = int(counts.sum(axis=-1).max(initial=0)) / (side * mpp * 1e-3) ** 2
    thumbnail = _picture(overview.rgb, "JPEG")
    # The last squares reach beyond the slide.
    width = 100 * counts.shape[1] * side / shape[1]
    height = 100 * counts.shape[0] * side / shape[0]
    density = _picture(density_picture(counts, rgb), "PNG")
    return (
        f'<div class="slides"><figure><div class="map"><img alt="the slide" src="{thumbnail}">'
        "</div><figcaption>The slide.</figcaption></figure>"
        f'<figure><div class="map" style="overflow:hidden"><img class="pale" alt="" '
        f'src="{thumbnail}"><img alt="density of nuclei" src="{density}" '
        f'style="width:{width:.3f}%;height:{height:.3f}%"></div><figcaption>Density of nuclei in '
        f"squares of {side * mpp:.0f} µm: the mean colour of their classes, opaque where they are "
        f"dense; at most {densest:,.0f} per mm².</figcaption></figure></div>"
    )


def _picture(pixels: NDArray[np.uint8], kind: str) -> str:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{data}"


def _counts(rows: Sequence[ClassStatistics], nuclei: Nuclei) -> str:
    colors = {c.name: c.color for c in nuclei.classes.classes}
    heads = ["class", "nuclei", "fraction", "per mm²", "nearest, µm", "nearest of its class, µm"]
    lines = []
    for row in rows:
        color = html.escape(colors.get(row.label, NO_CLASS))
        dot = "" if row.label == "all" else f'<span class="dot" style="background:{color}"></span>'
        values = [
            f"{row.nuclei:,}",
            f"{100 * row.fraction:.1f} %",
            f"{row.per_mm2:,.1f}",
            _length(row.nearest_um),
            _length(row.nearest_same_um),
        ]
        cells = "".join(f"<td>{value}</td>" for value in values)
        lines.append(f"<tr><td>{dot}{html.escape(row.label)}</td>{cells}</tr>")
    head = "".join(f"<th>{h}</th>" for h in heads)
    return (
        f"<table><tr>{head}</tr>{''.join(lines)}</table><p>Distances are medians, from centre to "
        "centre.</p>"
    )


def _length(um: float) -> str:
    return "" if math.isnan(um) else f"{um:.1f}"


def _histogram(score: NDArray[np.float32], threshold: float) -> str:
    counts, _ = np.histogram(score, bins=SCORE_BINS, range=(0, 1))
    top = max(int(counts.max(initial=0)), 1)
    wide, tall = 14, 160
    bars = "".join(
        f'<rect x="{i * wide}" y="{tall - tall * n / top:.1f}" width="{wide - 1}" '
        f'height="{tall * n / top:.1f}" fill="#4a6fa5"><title>{n:,} nuclei</title></rect>'
        for i, n in enumerate(counts.tolist())
    )
    marks = "".join(
        f'<text x="{wide * SCORE_BINS * v}" y="{tall + 16}" text-anchor="middle">{v:g}</text>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    at = wide * SCORE_BINS * threshold
    return (
        f'<svg viewBox="-14 -8 {wide * SCORE_BINS + 28} {tall + 28}" width="600" role="img">'
        f'<title>Histogram of scores</title>{bars}<line x1="{at}" x2="{at}" y1="-6" y2="{tall}" '
        f'stroke="#d7263d"/>{marks}</svg><p>Nuclei by score; the line is the threshold, '
        f"{threshold:g}. The tallest bar is {top:,} nuclei.</p>"
    )


def _facts(facts: dict[str, object]) -> str:
    lines = "".join(
        f"<tr><td>{html.escape(str(key))}</td><td>{html.escape(_value(value))}</td></tr>"
        for key, value in facts.items()
    )
    return f"<table>{lines}</table>"


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)
