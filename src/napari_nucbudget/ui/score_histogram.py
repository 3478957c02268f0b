"""How the scores of all peaks are distributed, with a threshold that can be dragged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QTextOption,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_nucbudget.ui.theme import Colors

__all__ = ["ScoreHistogram"]

BINS = 50
MARGIN = 8


class ScoreHistogram(QWidget):
    """Bars of the square root of the counts, so that rare scores stay visible.

    Drag the line, click where it shall stand, or use the arrow keys.
    """

    threshold_moved = Signal(float)
    """Emitted when a person moves the line; not by `set_threshold`."""

    def __init__(self, colors: Colors, *, low: float = 0.0, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colors = colors
        self._low = low
        self._counts: NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)
        self._threshold = 0.5
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setAccessibleName("Histogram of scores with threshold")

    def sizeHint(self) -> QSize:
        return QSize(220, 100)

    @property
    def counts(self) -> NDArray[np.int64]:
        return self._counts

    @property
    def threshold(self) -> float:
        return self._threshold

    def set_scores(self, scores: NDArray[np.float32]) -> None:
        self._counts = np.histogram(scores, bins=BINS, range=(0, 1))[0]
        self.update()

    def set_threshold(self, threshold: float) -> None:
        self._threshold = threshold
        self.update()

    def set_colors(self, colors: Colors) -> None:
        self._colors = colors
        self.update()

    def x_of(self, score: float) -> float:
        """Where a score lies, in pixels of the widget."""
        return MARGIN + score * (self.width() - 2 * MARGIN)

    def _move_to(self, score: float) -> None:
        threshold = round(float(np.clip(score, self._low, 1.0)), 2)
        if threshold != self._threshold:
            self.set_threshold(threshold)
            self.threshold_moved.emit(threshold)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            width = max(1, self.width() - 2 * MARGIN)
            self._move_to((event.position().x() - MARGIN) / width)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {
            Qt.Key.Key_Left: -0.01,
            Qt.Key.Key_Right: 0.01,
            Qt.Key.Key_PageDown: -0.1,
            Qt.Key.Key_PageUp: 0.1,
        }.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self._move_to(self._threshold + step)

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = self._colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small = painter.font()
        small.setPointSizeF(max(7.0, small.pointSizeF() * 0.85))
        letters = QFontMetricsF(small)
        bottom = self.height() - letters.height() - 2
        heights = np.sqrt(self._counts) * (bottom - 10) / max(1.0, np.sqrt(self._counts.max()))
        painter.setPen(Qt.PenStyle.NoPen)
        for i, height in enumerate(heights):
            left, right = self.x_of(i / BINS), self.x_of((i + 1) / BINS)
            taken = (i + 0.5) / BINS >= self._threshold
            painter.setBrush(QColor(colors.bar if taken else colors.muted))
            painter.drawRect(QRectF(left, bottom - height, max(1.0, right - left - 1), height))
        text = QColor(colors.text)
        painter.setPen(QPen(text, 1))
        painter.drawLine(QPointF(self.x_of(0), bottom), QPointF(self.x_of(1), bottom))
        painter.setFont(small)
        width = letters.horizontalAdvance("0.75") + 2
        for score in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = min(max(self.x_of(score) - width / 2, 0.0), self.width() - width)
            align = Qt.AlignmentFlag.AlignHCenter
            if score == 0:
                align = Qt.AlignmentFlag.AlignLeft
            elif score == 1:
                align = Qt.AlignmentFlag.AlignRight
            place = QRectF(x, bottom + 1, width, letters.height())
            painter.drawText(place, f"{score:g}", QTextOption(align))
        x = self.x_of(self._threshold)
        painter.setPen(QPen(QColor(colors.line), 2))
        painter.drawLine(QPointF(x, 4), QPointF(x, bottom))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.line))
        painter.drawPolygon(QPolygonF([QPointF(x - 5, 0), QPointF(x + 5, 0), QPointF(x, 8)]))
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(text, 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()
