"""A model card in words."""

from __future__ import annotations

import pytest

from napari_nucbudget.models.card_text import score_line
from napari_nucbudget.types.card import ScoreRecord

METRICS = {"f1": 0.9, "best_f1": 0.9, "aupr": 0.9}
TYPED = {"weighted_f1": 0.9, "macro_f1": 0.9, "accuracy": 0.9, "ece": 0.1}


@pytest.mark.parametrize(("metrics", "ci"), [(METRICS, "f1_ci"), (TYPED, "weighted_f1_ci")])
@pytest.mark.parametrize(
    ("images", "bounds", "words"),
    [
        (2, (0.8, 0.95), "F1 0.900 (95 % interval 0.800 to 0.950), "),
        (2, None, "F1 0.900, "),
        (1, (0.9, 0.9), "F1 0.900 (no interval: all nuclei are in one image), "),
    ],
)
def test_one_image_gives_no_interval(
    metrics: dict[str, float], ci: str, images: int, bounds: tuple[float, float] | None, words: str
) -> None:
    record = ScoreRecord.model_validate(
        {
            "data": "d",
            "split": "test",
            "images": images,
            "nuclei": 9,
            "metrics": metrics,
            ci: bounds,
            "radius_um": 3.3,
            "mpp": 0.55,
        }
    )
    assert words in score_line(record)
