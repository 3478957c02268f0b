"""Settings of a training run: an unknown key is an error, and so is a wrong value."""

from __future__ import annotations

from typing import Any

import pytest

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.types.training import TrainConfig


def test_settings_survive_a_mapping() -> None:
    config = TrainConfig(seed=3, learning_rate=1e-3, recipe="paper")
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_absent_settings_take_their_defaults() -> None:
    assert TrainConfig.from_dict({"seed": 7}) == TrainConfig(seed=7)


@pytest.mark.parametrize("share", [None, 0, 0.5])
def test_the_share_of_the_parent_may_be_left_to_the_method(share: float | None) -> None:
    assert TrainConfig.from_dict({"parent_share": share}).parent_share == share


def test_a_whole_number_will_do_for_a_float() -> None:
    assert TrainConfig.from_dict({"alpha": 3}).alpha == 3


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rte": 1e-3}, "no setting 'learning_rte'. Did you mean 'learning_rate'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 10.5}, r"steps must be of type int, got 10\.5"),
        ({"steps": True}, "steps must be of type int, got True"),
        ({"batch_norm": 1}, "batch_norm must be of type bool, got 1"),
        ({"alpha": "3"}, "alpha must be of type float, got '3'"),
        ({"alpha": 0}, "alpha must be above 0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"parent_share": 1.5}, r"parent_share must lie in \[0, 1\], got 1\.5"),
        ({"parent_share": "half"}, "parent_share must be of type float, got 'half'"),
        ({"threads": -1}, "threads must be at least 0"),
        ({"threads": 100_000}, "threads must be at most 1024"),
        ({"seed": 2**70}, "seed must be at most"),
        ({"smoothing_px": -1.0}, "smoothing_px must be at least 0"),
        ({"mpp": 100.0}, "mpp must be at most 10"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 100_000_000}, "batch_size must be at most 65536"),
        ({"crop": 100_000}, "crop must be at most 4096"),
        ({"warmup": 5.0}, "warmup must be at most 1"),
        ({"clip_norm": -1.0}, "clip_norm must be above 0"),
        ({"loss_stride": 5000}, "loss_stride must be at most 32"),
        ({"stain_jitter": float("nan")}, "stain_jitter must be at least 0"),
        ({"mpp": -0.5}, "mpp must be at least 0.05"),
        ({"crop": 20}, "crop must be at least 32, got 20"),
        ({"ema": 1.0}, r"ema must lie in \[0, 1\), got 1"),
        ({"recipe": "papre"}, "recipe must be one of product, paper, got 'papre'"),
        ({"precision": "int8"}, "precision must be one of auto, float32"),
    ],
)
def test_a_wrong_setting_is_refused_with_words(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig.from_dict(values)
