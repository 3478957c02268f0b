"""Line charts as SVG text: axes, lines, error bars, legend; nothing else is needed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["COLOURS", "Panel", "Series", "chart"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555")
"""Okabe and Ito's colours, which stay apart for colour-blind readers."""
WIDTH, HEIGHT = 340, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 44
LEGEND_ROW = 20

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line of a panel.

    Attributes
    ----------
    points : sequence of (x, y)
    bars : sequence of float
        Half the length of each point's error bar; empty for none.
    marks : bool
        Whether the points are marked.
    dashed : bool
    """

    name: str
    points: Sequence[Point]
    bars: Sequence[float] = ()
    marks: bool = True
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes. With `log_x` the ticks are where `ticks` says, else even."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_range: Point
    y_range: Point
    ticks: Sequence[tuple[float, str]] = field(default_factory=tuple)
    log_x: bool = False


def chart(panels: Sequence[Panel], *, title: str) -> str:
    """Panels side by side under one legend, each series name in one colour, as SVG text."""
    names = list(dict.fromkeys(s.name for panel in panels for s in panel.series))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    width = WIDTH * len(panels)
    per_row = max(1, width // 200)
    height = HEIGHT + LEGEND_ROW * math.ceil(len(names) / per_row) + 8
    body = [_panel(panel, WIDTH * i, colours) for i, panel in enumerate(panels)]
    for i, name in enumerate(names):
        x, y = LEFT + i % per_row * 200, HEIGHT + 10 + i // per_row * LEGEND_ROW
        dashed = any(s.dashed for panel in panels for s in panel.series if s.name == name)
        body.append(_line([(x, y), (x + 22, y)], colours[name], dashed=dashed))
        body.append(_text(x + 28, y + 4, name, anchor="start"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _panel(panel: Panel, offset: float, colours: dict[str, str]) -> str:
    low, high = (math.log(x) if panel.log_x else x for x in panel.x_range)

    def place(point: Point) -> Point:
        x = math.log(point[0]) if panel.log_x else point[0]
        y_low, y_high = panel.y_range
        across = (x - low) / (high - low)
        up = (point[1] - y_low) / (y_high - y_low)
        return (
            offset + LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    y_ticks = [(y, f"{y:g}") for y in _even(*panel.y_range)]
    x_ticks = panel.ticks or [(x, f"{x:g}") for x in _even(*panel.x_range)]
    parts = []
    for y, label in y_ticks:
        left, right = place((panel.x_range[0], y)), place((panel.x_range[1], y))
        parts.append(_line([left, right], "#dddddd", width=1))
        parts.append(_text(left[0] - 6, left[1] + 4, label, anchor="end"))
    for x, label in x_ticks:
        foot = place((x, panel.y_range[0]))
        parts.append(_line([foot, (foot[0], foot[1] + 4)], "#333333", width=1))
        parts.append(_text(foot[0], foot[1] + 17, label))
    corner = place((panel.x_range[0], panel.y_range[0]))
    end = place((panel.x_range[1], panel.y_range[0]))
    parts.append(_line([corner, end], "#333333", width=1))
    middle = offset + (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 8, panel.x_label))
    parts.append(_text(middle, 18, panel.title, weight="bold"))
    up = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 {offset + 13:.1f} {up:.1f})"'
    parts.append(_text(offset + 13, up, panel.y_label, extra=turned))
    for series in panel.series:
        colour = colours[series.name]
        points = [place(p) for p in series.points]
        parts.append(_line(points, colour, dashed=series.dashed))
        for (x, y), bar in zip(series.points, series.bars, strict=False):
            if math.isfinite(bar) and bar > 0:
                ends = [place((x, max(y - bar, panel.y_range[0]))), place((x, y + bar))]
                parts.append(_line(ends, colour, width=1))
        if series.marks:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in points
            ]
    return "\n".join(parts)


def _line(points: Sequence[Point], colour: str, *, width: float = 2, dashed: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "middle",
    weight: str = "normal",
    extra: str = "",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#222222" {extra}>{escape(text)}</text>'
    )


def _even(low: float, high: float) -> list[float]:
    """Round numbers from low to high, four to nine of them."""
    step = next(
        s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if (high - low) / s <= 8.001 or s == 1.0
    )
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 4) for i in range(first, int(high / step + 1e-9) + 1)]
