"""Colours between programs: names and hex text here, red, green and blue or one number there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["hex_of", "rgb_of", "spare_color"]

SPARE = ("#ff9100", "#2979ff", "#ff1744", "#ffffff", "#d500f9", "#8d6e63")
"""For classes that come without a colour; apart from the default three, visible on H&E."""


def rgb_of(color: str) -> list[int] | None:
    """Red, green and blue, 0 to 255, of a hex text or a name; None where it is no colour."""
    from PIL import ImageColor

    try:
        return [int(v) for v in ImageColor.getrgb(color)[:3]]
    except ValueError:
        return None


def hex_of(color: Any) -> str | None:
    """Hex text of three numbers or of one packed (A)RGB number; None where it is neither."""
    if isinstance(color, int) and not isinstance(color, bool):
        return f"#{color & 0xFFFFFF:06x}"
    if isinstance(color, Sequence) and len(color) == 3 and all(_is_byte(v) for v in color):
        return "#{:02x}{:02x}{:02x}".format(*(int(v) for v in color))
    return None


def _is_byte(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 255


def spare_color(number: int) -> str:
    """A colour for the class of that number."""
    return SPARE[number % len(SPARE)]
