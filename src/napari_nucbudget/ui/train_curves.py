"""How a training goes: the loss and its parts, and the validation F1, by step."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_nucbudget.types.training import EpochReport
from napari_nucbudget.ui.plot import Plot
from napari_nucbudget.ui.theme import Colors

__all__ = ["TrainCurves"]

PARTS = {"total": "loss", "supervised": "supervised", "denoising": "denoising"}


class TrainCurves(QWidget):
    """Two plots of the reports of one run; hidden while there are none."""

    def __init__(self, colors: Colors) -> None:
        super().__init__()
        self.reports: list[EpochReport] = []
        self.loss = Plot(colors, "step")
        self.score = Plot(colors, "step")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.loss)
        column.addWidget(self.score)
        self.setVisible(False)

    def set_reports(self, reports: Sequence[EpochReport]) -> None:
        """Show a run from its beginning; none hides the plots."""
        self.reports = list(reports)
        self.setVisible(bool(self.reports))
        if not self.reports:
            return
        lines = {
            title: [(r.step, r.loss[key]) for r in self.reports if key in r.loss]
            for key, title in PARTS.items()
        }
        if lines["supervised"] == lines["loss"]:  # it is all of the loss
            del lines["supervised"]
        scores = [(r.step, r.validation["f1"]) for r in self.reports if "f1" in r.validation]
        steps = self.reports[-1].steps
        self.loss.set_lines(lines, x_max=steps)
        self.score.set_lines({"validation F1": scores}, x_max=steps)
        self.score.setVisible(bool(scores))

    def add(self, report: EpochReport) -> None:
        """One report more; it replaces those of its epoch and later ones."""
        self.set_reports([r for r in self.reports if r.epoch < report.epoch] + [report])

    def set_colors(self, colors: Colors) -> None:
        """Colours of the viewer's theme."""
        self.loss.set_colors(colors)
        self.score.set_colors(colors)
