"""What a run found: count, density, histogram, and the two numbers that select nuclei."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_nucbudget.infer.detect import SCORE_FLOOR, WIDEST_MIN_DISTANCE_UM
from napari_nucbudget.infer.propose import Proposals
from napari_nucbudget.types.card import ModelCard
from napari_nucbudget.ui.score_histogram import ScoreHistogram
from napari_nucbudget.ui.theme import Colors

__all__ = ["ResultPanel", "default_values"]

FALLBACK_THRESHOLD = 0.5
FALLBACK_DISTANCE_UM = 3.0
SPIN_WIDTH = 125


def default_values(card: ModelCard) -> tuple[float, float]:
    """Threshold and minimum distance in µm that a model's card gives."""
    threshold = FALLBACK_THRESHOLD if card.threshold is None else card.threshold
    return threshold, card.min_distance_um or FALLBACK_DISTANCE_UM


class ResultPanel(QGroupBox):
    """Threshold and minimum distance with the histogram; knows no layers and runs nothing."""

    threshold_changed = Signal(float)
    distance_changed = Signal(float)

    def __init__(self, colors: Colors, parent: QWidget | None = None) -> None:
        super().__init__("Result", parent)
        self._defaults = (FALLBACK_THRESHOLD, FALLBACK_DISTANCE_UM)
        self.count = QLabel("Nothing was detected yet.<br>&nbsp;")  # as many lines as a result
        self.count.setWordWrap(True)
        self.count.setToolTip("Nuclei above the threshold, of all peaks of the map.")
        self.histogram = ScoreHistogram(colors, low=SCORE_FLOOR)
        self.histogram.setToolTip(
            "Scores of all peaks (bars: square root of the count). Drag the line, or move it "
            "with the arrow keys: nuclei right of it are shown."
        )
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(round(SCORE_FLOOR * 100), 100)
        self.slider.setPageStep(5)
        self.threshold = QDoubleSpinBox()
        self.threshold.setRange(SCORE_FLOOR, 1.0)
        self.threshold.setSingleStep(0.01)
        self.threshold.setDecimals(2)
        self.threshold.setFixedWidth(SPIN_WIDTH)
        self.distance = QDoubleSpinBox()
        self.distance.setRange(0.5, WIDEST_MIN_DISTANCE_UM)
        self.distance.setSingleStep(0.25)
        self.distance.setDecimals(2)
        self.distance.setSuffix(" µm")
        self.distance.setFixedWidth(SPIN_WIDTH)
        self.reset = QPushButton("Model's val&ues")
        self.reset.setToolTip("Back to the threshold and distance that the model's card gives.")
        self._explain()

        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.threshold)
        second = QHBoxLayout()
        second.addWidget(self.reset, 1)
        second.addWidget(self.distance)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        name = QLabel("&Threshold")
        name.setBuddy(self.threshold)
        form.addRow(name, row)
        name = QLabel("Mi&n. distance")
        name.setBuddy(self.distance)
        form.addRow(name, second)
        layout = QVBoxLayout(self)
        layout.addWidget(self.count)
        layout.addWidget(self.histogram)
        layout.addLayout(form)

        self.histogram.threshold_moved.connect(self.threshold.setValue)
        self.slider.valueChanged.connect(lambda value: self.threshold.setValue(value / 100))
        self.threshold.valueChanged.connect(self._threshold_moved)
        self.distance.valueChanged.connect(self.distance_changed)
        self.reset.clicked.connect(self.to_defaults)

    def _explain(self) -> None:
        threshold, distance = self._defaults
        text = f"Lowest score of a nucleus; the model's own is {threshold:g}. No new run is needed."
        self.slider.setToolTip(text)
        self.threshold.setToolTip(text)
        self.distance.setToolTip(
            f"Nuclei are at least this far apart; the model's own is {distance:g} µm. No new run "
            "is needed, unless the region was too large to keep its map."
        )

    def use_card(self, card: ModelCard) -> None:
        """Take a model's threshold and minimum distance."""
        self._defaults = default_values(card)
        self._explain()
        self.to_defaults()

    def to_defaults(self) -> None:
        self.threshold.setValue(self._defaults[0])
        self.distance.setValue(self._defaults[1])

    def _threshold_moved(self, value: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(value * 100))
        self.slider.blockSignals(False)
        self.histogram.set_threshold(value)
        self.threshold_changed.emit(value)

    def show_proposals(self, proposals: Proposals) -> None:
        """The histogram of a run, or of another minimum distance."""
        self.histogram.set_scores(proposals.peaks.score)
        kept = proposals.score_map is not None
        self.distance.setEnabled(kept)

    def show_count(self, count: int, proposals: Proposals, *, outdated: str = "") -> None:
        """How many nuclei, and per area; `outdated` says why that cannot be told any more."""
        if outdated:
            self.count.setText(
                f"<b>{count:,} nuclei</b> of {len(proposals.peaks):,} peaks<br>{outdated}"
            )
            return
        area = proposals.region.area * proposals.mpp**2 * 1e-6
        self.count.setText(
            f"<b>{count:,} nuclei</b> of {len(proposals.peaks):,} peaks<br>"
            f"{proposals.density_mm2(count):,.0f} per mm² in {area:.3g} mm²"
        )
