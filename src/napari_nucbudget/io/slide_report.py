"""A page to look at for a slide: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.outline import Outlines
from napari_nucbudget.core.overview import Overview
from napari_nucbudget.core.statistics import ALL, ClassStatistics
from napari_nucbudget.core.tissue import TissueMask
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.report_pictures import PICTURE_STYLE, THUMBNAIL_SIDE, pictures
from napari_nucbudget.io.slide_runs import FinalTable, SlideRunFolder
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["REPORT_FILE", "THUMBNAIL_SIDE", "write_report"]

REPORT_FILE = "report.html"
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
.dot { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .4em; }
svg text { font: 12px system-ui, sans-serif; fill: #222; }
"""
FACTS = {
    "model": "detector",
    "model weights": "detector, SHA-256 of the weights",
    "threshold": "least score of a nucleus",
    "minimum distance in pixels": "least distance of two nuclei, pixels of the detector",
    "classifier weights": "classifier, SHA-256 of the weights",
    "pixel size": "pixel size of the slide, µm",
    "mask": "drawn mask, SHA-256",
    "score map": "map of scores kept",
}
"""Settings in the words of the report, those first that are asked for first."""


def write_report(
    run: SlideRunFolder,
    table: FinalTable,
    nuclei: Nuclei,
    rows: Sequence[ClassStatistics],
    overview: Overview,
    *,
    mpp: float,
    tissue: TissueMask,
    regions: Mapping[str, Outlines] | None = None,
) -> Path:
    """Write the report of a finished run into its folder.

    Parameters
    ----------
    run, table
        The finished run.
    nuclei : Nuclei
        Its nuclei.
    rows : sequence of ClassStatistics
        Of its tissue, then of its regions.
    overview : Overview
        The slide in small.
    mpp : float
        µm per level-0 pixel.
    tissue : TissueMask
        What was computed.
    regions : mapping of str to Outlines, optional
        Drawn regions, to be shown.

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
        f"tissue: {rows[0].per_mm2:,.0f} per mm². Nuclei and classes are proposals of the "
        "networks named below; nobody has checked them.</p>",
        _damage(table),
        pictures(nuclei, overview, tissue, regions or {}, shape=shape, mpp=mpp),
        "<h2>Counts and densities</h2>",
        _counts(rows, nuclei),
        "<h2>Scores</h2>",
        _histogram(nuclei.score, float(run.facts["settings"]["threshold"])),
        "<h2>Settings</h2>",
        _facts(_in_words(run.facts["settings"])),
        "<h2>Versions</h2>",
        _facts(run.facts["versions"]),
    ]
    body = "\n".join(parts)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{STYLE}{PICTURE_STYLE}</style></head><body>\n{body}\n</body></html>\n"
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


def _counts(rows: Sequence[ClassStatistics], nuclei: Nuclei) -> str:
    colors = {c.name: c.color for c in nuclei.classes.classes}
    heads = ["class", "nuclei", "fraction", "per mm²", "nearest, µm", "nearest of its class, µm"]
    lines = []
    several = len({row.region for row in rows}) > 1
    for row in rows:
        if several and row.label == ALL:
            title = "all" if row is rows[0] else html.escape(row.region)
            where = f"{title}: {row.area_mm2:.3g} mm² of tissue"
            lines.append(f'<tr><th colspan="{len(heads)}">{where}</th></tr>')
        color = html.escape(colors.get(row.label, NO_CLASS))
        dot = "" if row.label == ALL else f'<span class="dot" style="background:{color}"></span>'
        values = [
            f"{row.nuclei:,}",
            f"{100 * row.fraction:.1f} %",
            f"{row.per_mm2:,.0f}" if row.per_mm2 >= 100 else f"{row.per_mm2:.3g}",
            _length(row.nearest_um),
            _length(row.nearest_same_um),
        ]
        cells = "".join(f"<td>{value}</td>" for value in values)
        lines.append(f"<tr><td>{dot}{html.escape(row.label)}</td>{cells}</tr>")
    head = "".join(f"<th>{h}</th>" for h in heads)
    return (
        f"<table><tr>{head}</tr>{''.join(lines)}</table><p>Areas are of "
        "tissue alone. Distances are medians, from centre to centre, to the nearest nucleus on the "
        "whole slide.</p>"
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


def _in_words(settings: dict[str, object]) -> dict[str, object]:
    known = {words: settings[key] for key, words in FACTS.items() if key in settings}
    return known | {key: value for key, value in settings.items() if key not in FACTS}


def _facts(facts: dict[str, object]) -> str:
    lines = "".join(
        f"<tr><td>{html.escape(str(key))}</td><td>{html.escape(_value(value))}</td></tr>"
        for key, value in facts.items()
    )
    return f"<table>{lines}</table>"


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
