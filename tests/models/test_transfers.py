"""Double-buffered copies give each tile its own map, whoever asks when; steps as on a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import ModelError
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.transfers import SLOTS, Transfers

CPU = torch.device("cpu")


@pytest.fixture
def transfers():
    return Transfers(CPU, torch.float32)


@pytest.fixture
def tiles(rng):
    shapes = [(40, 50, 3), (8, 9, 3), (60, 61, 3), (40, 50, 3), (1, 1, 3)]
    return [rng.random(shape, dtype=np.float32) for shape in shapes]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_every_tile_gets_its_own_map_in_whatever_order_they_are_asked_for(transfers, tiles, rng):
    waits = [transfers.begin(tile, lambda x: x.sum(2)) for tile in tiles]
    for which in rng.permutation(len(tiles)):
        np.testing.assert_allclose(waits[which](), tiles[which].sum(2), rtol=1e-6)


def test_a_map_is_the_callers_to_keep(transfers, tiles):
    first = transfers.begin(tiles[0], lambda x: x.sum(2))()
    then = first.copy()
    for tile in tiles * SLOTS:
        transfers.begin(tile, lambda x: x * 0)()
    assert np.array_equal(first, then)


def test_asking_twice_gives_the_same(transfers, tiles):
    wait = transfers.begin(tiles[0], lambda x: x.sum(2))
    first = wait()
    transfers.begin(tiles[1], lambda x: x.sum(2))()
    assert wait() is first


def test_pixels_may_change_once_they_are_handed_over(transfers, tiles):
    mine = tiles[0].copy()
    wait = transfers.begin(mine, lambda x: x.sum(2))
    mine[:] = 0
    np.testing.assert_allclose(wait(), tiles[0].sum(2), rtol=1e-6)


def test_a_tile_that_fails_leaves_the_ones_around_it_alone(transfers, tiles):
    def fail(x):
        raise RuntimeError("out of memory")

    before = transfers.begin(tiles[0], lambda x: x.sum(2))
    with pytest.raises(RuntimeError, match="out of memory"):
        transfers.begin(tiles[1], fail)
    after = transfers.begin(tiles[2], lambda x: x.sum(2))
    np.testing.assert_allclose(before(), tiles[0].sum(2), rtol=1e-6)
    np.testing.assert_allclose(after(), tiles[2].sum(2), rtol=1e-6)


def test_a_detector_gives_the_same_maps_through_it(tiny_detector: Detector, tiles):
    buffered = replace(tiny_detector)
    vars(buffered)["_transfers"] = Transfers(CPU, torch.float32)
    assert (tiny_detector.ahead, buffered.ahead) == (0, SLOTS - 1)
    waits = [buffered.begin(tile * 255) for tile in tiles]
    for tile, wait in zip(tiles, waits, strict=True):
        assert np.array_equal(wait(), tiny_detector.proximity(tile * 255))


def test_values_that_are_no_numbers_are_refused_when_the_map_is_asked_for(
    tiny_detector: Detector, tiles
):
    buffered = replace(tiny_detector)
    vars(buffered)["_transfers"] = Transfers(CPU, torch.float32)
    wait = buffered.begin(tiles[0] * np.nan)
    with pytest.raises(ModelError, match="not numbers"):
        wait()
