"""Typed discs to learn from, and settings for a few small steps."""

from __future__ import annotations

import pytest

from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig
from tests.typed_discs import typed_discs, typed_set


@pytest.fixture(scope="session")
def typed() -> LabelSet:
    return typed_set(typed_discs("a", seed=1), typed_discs("b", seed=2))


@pytest.fixture(scope="session")
def nothing() -> LabelSet:
    return typed_set()


@pytest.fixture
def config() -> TrainConfig:
    return TrainConfig(
        method="supervised",
        steps=3,
        steps_per_epoch=3,
        batch_size=6,
        unlabelled_batch=8,
        learning_rate=1e-3,
        ema=0.5,
        precision="float32",
        threads=1,
    )
