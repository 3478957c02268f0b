from __future__ import annotations

import pytest

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.infer.evaluate import evaluate_detector
from napari_nucbudget.models.bundle import Detector
from tests.typed_discs import typed_discs, typed_set


@pytest.mark.parametrize("radius_um", [0.0, -1.0, float("inf"), float("nan")])
def test_a_radius_that_is_no_length_is_refused(tiny_detector: Detector, radius_um: float) -> None:
    labels = typed_set(typed_discs("a"))
    with pytest.raises(ConfigError, match="must be a length in µm above 0"):
        next(evaluate_detector(labels, tiny_detector, radius_um=radius_um))
