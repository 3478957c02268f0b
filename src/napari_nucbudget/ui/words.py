"""Sentences and names in docks, which must not get wider for a long word."""

from __future__ import annotations

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QLabel, QWidget

__all__ = ["Words", "plain", "shortened"]

WIDEST_PX = 240
"""A word asks a dock for so much room at most."""


class Words(QLabel):
    """Sentences that wrap; a name longer than the line is cut rather than widen the dock."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setWordWrap(True)

    def minimumSizeHint(self) -> QSize:
        asked = super().minimumSizeHint()
        return QSize(min(asked.width(), WIDEST_PX), asked.height())


def shortened(name: str, most: int = 36) -> str:
    """A name of at most so many letters, the middle of a longer one left out."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def plain(text: str) -> str:
    """A text on a button as it is: Qt takes a single & for a key, and does not show it."""
    return text.replace("&", "&&")
