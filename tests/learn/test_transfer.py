from __future__ import annotations

import pytest

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.learn.methods import METHODS
from napari_nucbudget.learn.transfer import classifier_settings
from napari_nucbudget.types.training import TrainConfig


@pytest.mark.parametrize("method", [name for name in METHODS if name != "detection"])
def test_every_method_has_a_schedule(method):
    config = TrainConfig.from_dict(classifier_settings(method))
    assert (config.method, config.steps_per_epoch, config.ema) == (method, 100, 0.99)


def test_what_is_chosen_wins_over_the_defaults():
    values = classifier_settings("fine-tune", {"fine_tune": "head", "steps": 7})
    assert (values["steps"], values["learning_rate"]) == (7, 3e-3)
    assert classifier_settings("fine-tune")["learning_rate"] == 1e-4


def test_saved_settings_come_back_whole():
    saved = TrainConfig.from_dict(classifier_settings("supervised")).to_dict()
    assert TrainConfig.from_dict(classifier_settings("supervised", saved)).to_dict() == saved


@pytest.mark.parametrize(
    ("method", "chosen", "message"),
    [
        ("fixmach", {}, "Did you mean 'fixmatch'"),
        ("detection", {}, "There is no method 'detection'"),
        ("fine-tune", {"fine_tune": "tail"}, "one of all, head, discriminative, got 'tail'"),
    ],
)
def test_what_is_unknown_is_named(method, chosen, message):
    with pytest.raises(ConfigError, match=message):
        classifier_settings(method, chosen)
