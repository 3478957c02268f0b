"""Colours that are legible in napari's dark and light theme alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["Colors", "colors_of"]


@dataclass(frozen=True)
class Colors:
    """What the dock paints with, as CSS colours."""

    text: str
    muted: str
    bar: str
    line: str
    error: str
    ask: str


def colors_of(viewer: Viewer) -> Colors:
    """Colours for the theme that the viewer has now."""
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)

    def css(name: str) -> str:
        red, green, blue = getattr(theme, name).as_rgb_tuple()[:3]
        return f"#{red:02x}{green:02x}{blue:02x}"

    dark = sum(theme.background.as_rgb_tuple()[:3]) < 3 * 128
    return Colors(
        text=css("text"),
        muted=css("primary"),
        bar="#00c8dc" if dark else "#007d8c",
        line="#ffb300" if dark else "#b35c00",
        error="#ff8a80" if dark else "#b00020",
        ask="#ffb300" if dark else "#b35c00",
    )
