"""Selecting from a kept detection gives what a new run would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.infer import propose
from napari_nucbudget.infer.detect import SCORE_FLOOR, detect
from napari_nucbudget.infer.propose import iter_propose
from napari_nucbudget.types.card import InputSpec, ModelCard
from napari_nucbudget.types.image import ArraySource, Region
from tests.reports import collect

CARD = ModelCard(
    name="noise",
    task="detection",
    architecture="none",
    input=InputSpec(mpp=0.5, mean=(0, 0, 0), std=(1, 1, 1), receptive_field=1),
    threshold=0.5,
    min_distance_um=2.0,
    smoothing_px=1.0,
)
RGB = np.random.default_rng(3).integers(0, 256, (150, 170, 3), dtype=np.uint8)
SOURCE = ArraySource(RGB, mpp=0.4)
REGION = Region(20, 31, 90, 101)


@dataclass
class RedDetector:
    card: ModelCard = CARD
    halo: int = 0
    alignment: int = 1
    dense_tile: int = 512
    band_rows: None = None
    calls: int = 0

    def proximity(self, rgb):
        self.calls += 1
        return rgb[..., 0] / np.float32(255)


def run(detector, **arguments):
    steps = iter_propose(
        SOURCE,
        detector,
        region=REGION,
        mpp=0.4,
        threshold=0.5,
        min_distance_um=2.0,
        tile=64,
        **arguments,
    )
    return collect(steps)


@pytest.mark.parametrize("distance", [1.0, 2.0, 5.0, 12.0])
@pytest.mark.parametrize("threshold", [SCORE_FLOOR, 0.5, 0.6])
def test_a_selection_equals_a_new_run_with_those_settings(distance, threshold):
    detector = RedDetector()
    _, proposals = run(detector)
    calls = detector.calls
    selected = proposals.at_distance(distance).above(threshold)
    assert detector.calls == calls
    again = detect(SOURCE, detector, region=REGION, threshold=threshold, min_distance_um=distance)
    assert len(again) > 0
    np.testing.assert_allclose(selected.yx, again.yx, atol=1e-4)
    np.testing.assert_array_equal(selected.score, again.score)


def test_a_region_too_large_for_its_map_still_has_a_movable_threshold(monkeypatch):
    monkeypatch.setattr(propose, "MAX_MAP_PIXELS", 100)
    detector = RedDetector()
    _, proposals = run(detector)
    assert proposals.score_map is None
    again = detect(SOURCE, detector, region=REGION, threshold=0.6, min_distance_um=2.0)
    np.testing.assert_array_equal(proposals.above(0.6).yx, again.yx)
    with pytest.raises(ConfigError, match="not kept"):
        proposals.at_distance(3.0)


@pytest.mark.parametrize("distance", [0.0, -1.0, 12.5])
def test_a_distance_that_the_map_cannot_answer_for_is_refused(distance):
    _, proposals = run(RedDetector())
    with pytest.raises(ConfigError, match="must lie above 0 and up to 12"):
        proposals.at_distance(distance)


def test_density_is_per_square_millimetre_of_the_region():
    _, proposals = run(RedDetector())
    square_mm = 90 * 101 * 0.4e-3 * 0.4e-3
    assert proposals.density_mm2(7) == pytest.approx(7 / square_mm)


def test_reports_run_from_a_part_to_the_whole():
    reports, _ = run(RedDetector())
    assert len(reports) > 1
    assert reports[-1].fraction == 1
