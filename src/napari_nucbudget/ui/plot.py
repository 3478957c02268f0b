"""A small line plot that fits napari's themes: axes, lines with a legend, a point to drag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
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

__all__ = ["Plot"]

LEFT, RIGHT, TOP, BOTTOM = 40, 10, 22, 20
LINE_COLORS = ("#00a5b8", "#e07b00", "#8f6bd6", "#3f9e3f")
Points = Sequence[tuple[float, float]]


class Plot(QWidget):
    """Lines over one x axis; one of them may be drawn against a right scale of 0 to 1.

    Drag the point (where one was set), click near the line, or use the arrow keys.
    """

    moved = Signal(int)
    """Which point of the line a person moved the operating point to."""

    def __init__(self, colors: Colors, x_title: str, *, unit: bool = False) -> None:
        super().__init__()
        self._colors = colors
        self._x_title = x_title
        self._unit = unit
        self._lines: dict[str, list[tuple[float, float]]] = {}
        self._point: int | None = None
        self._x_max = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(150)

    def sizeHint(self) -> QSize:
        return QSize(240, 160)

    @property
    def lines(self) -> dict[str, list[tuple[float, float]]]:
        return self._lines

    @property
    def point(self) -> int | None:
        return self._point

    def set_colors(self, colors: Colors) -> None:
        self._colors = colors
        self.update()

    def set_lines(self, lines: Mapping[str, Points], *, x_max: float = 0.0) -> None:
        """Show lines by name; x up to `x_max`, or to the last point."""
        self._lines = {name: list(points) for name, points in lines.items() if points}
        last = max((p[0] for points in self._lines.values() for p in points), default=1.0)
        self._x_max = 1.0 if self._unit else max(x_max, last, 1e-9)
        self._point = None
        self.update()

    def set_point(self, index: int | None) -> None:
        """Mark a point of the first line, which can be dragged from then on."""
        self._point = index
        if index is not None:
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.update()

    def place(self, index: int) -> QPointF:
        """Where a point of the first line is, in pixels of the widget."""
        x, y = next(iter(self._lines.values()))[index]
        return self._at(x, y, self._top())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._point is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        points = np.array([(p.x(), p.y()) for p in map(self.place, range(self._count()))])
        at = event.position()
        self._move(int(np.hypot(points[:, 0] - at.x(), points[:, 1] - at.y()).argmin()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        step = steps.get(Qt.Key(event.key()))
        if step is None or self._point is None:
            super().keyPressEvent(event)
        else:
            self._move(self._point + step)

    def _move(self, index: int) -> None:
        index = min(max(index, 0), self._count() - 1)
        if index != self._point:
            self.set_point(index)
            self.moved.emit(index)

    def _count(self) -> int:
        return len(next(iter(self._lines.values())))

    def _top(self) -> float:
        """Largest value of the vertical axis."""
        if self._unit:
            return 1.0
        values = [y for points in self._lines.values() for _, y in points if np.isfinite(y)]
        return max([*values, 1e-6]) * 1.05

    def _at(self, x: float, y: float, top: float) -> QPointF:
        width, height = self.width() - LEFT - RIGHT, self.height() - TOP - BOTTOM
        return QPointF(LEFT + x / self._x_max * width, TOP + (1 - min(y / top, 1.0)) * height)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small = painter.font()
        small.setPointSizeF(max(7.0, small.pointSizeF() * 0.85))
        painter.setFont(small)
        top = self._top()
        self._axes(painter, top)
        x = float(LEFT)
        for (name, points), color in zip(self._lines.items(), LINE_COLORS, strict=False):
            pen = QPen(QColor(color), 2)
            painter.setPen(pen)
            line = QPolygonF([self._at(px, py, top) for px, py in points if np.isfinite(py)])
            if len(points) == 1:
                painter.setBrush(QColor(color))
                painter.drawEllipse(self._at(*points[0], top), 2.5, 2.5)
            painter.drawPolyline(line)
            painter.drawLine(QPointF(x, 10), QPointF(x + 14, 10))
            painter.setPen(QColor(self._colors.text))
            width = painter.fontMetrics().horizontalAdvance(name)
            painter.drawText(QPointF(x + 18, 14), name)
            x += width + 32
        if self._point is not None and self._lines:
            painter.setPen(QPen(QColor(self._colors.line), 2))
            painter.setBrush(QColor(self._colors.line))
            painter.drawEllipse(self.place(self._point), 5, 5)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self._colors.text), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _axes(self, painter: QPainter, top: float) -> None:
        painter.setPen(QPen(QColor(self._colors.text), 1))
        origin = self._at(0, 0, top)
        painter.drawLine(origin, self._at(self._x_max, 0, top))
        painter.drawLine(origin, self._at(0, top, top))
        for part in (0.0, 0.5, 1.0):
            y = self._at(0, part * top, top).y()
            box = QRectF(0, y - 8, LEFT - 5, 16)
            painter.drawText(box, f"{part * top:.2g}", QTextOption(Qt.AlignmentFlag.AlignRight))
        for part in (0.0, 1.0):
            x = self._at(part * self._x_max, 0, top).x()
            box = QRectF(x - 60 if part else x, self.height() - BOTTOM + 3, 60, 16)
            side = Qt.AlignmentFlag.AlignRight if part else Qt.AlignmentFlag.AlignLeft
            painter.drawText(box, f"{part * self._x_max:,.0f}", QTextOption(side))
        box = QRectF(LEFT, self.height() - BOTTOM + 3, self.width() - LEFT - RIGHT, 16)
        painter.drawText(box, self._x_title, QTextOption(Qt.AlignmentFlag.AlignHCenter))
