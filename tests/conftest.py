"""Fixtures that several layers share: small detectors, small drawn images, real data if there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray

from napari_nucbudget.models.bundle import Detector, build_network
from napari_nucbudget.types.card import InputSpec, ModelCard

# The same examples on every run, however busy the machine is.
settings.register_profile("nucbudget", deadline=None, derandomize=True, database=None)
settings.load_profile("nucbudget")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A file's tests stay in one process, and all of the viewer's: windows share the screen."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    windows = Path(__file__).parent / "ui"
    for item in items:
        group = "ui" if windows in item.path.parents else item.location[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small networks are faster on one thread, and give the same sums every time."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def nucbudget_data() -> Path:
    """Folder of the real label sets; tests that need it are skipped without it."""
    where = os.environ.get("NUCBUDGET_DATA")
    if not where:
        pytest.skip("NUCBUDGET_DATA does not name the folder of the real label sets")
    folder = Path(where)
    if not folder.is_dir():
        pytest.skip(f"NUCBUDGET_DATA names {folder}, which is no folder")
    return folder


def make_card(**changes: Any) -> ModelCard:
    """Card of a small stand-in for a trained detector."""
    values: dict[str, Any] = {
        "name": "tiny",
        "task": "detection",
        "architecture": "fcn",
        "arguments": {"width": 4, "head_width": 8},
        "input": InputSpec(mpp=0.55, mean=(0.78, 0.62, 0.76), std=(0.2,) * 3, receptive_field=31),
        "threshold": 0.3,
        "min_distance_um": 2.75,
        "smoothing_px": 1.0,
    }
    return ModelCard(**{**values, **changes})


def make_detector(seed: int = 0, **changes: Any) -> Detector:
    """Table 1 with few channels and random weights that give heights between 0 and 1."""
    card = make_card(**changes)
    network: Any = build_network(card.architecture, card.arguments)
    network.initialise(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        network.conv6.weight.mul_(300.0)
        network.conv6.bias.fill_(0.3)
    return Detector.from_network(card, network, device="cpu")


@pytest.fixture(scope="session")
def tiny_detector() -> Detector:
    """Detector with random seeded weights: it finds something everywhere, quickly."""
    return make_detector()


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """Folder of a saved `tiny_detector`."""
    return make_detector().save(tmp_path / "tiny-model")


@pytest.fixture(scope="session")
def card_with() -> Callable[..., ModelCard]:
    """`make_card`: a stand-in's card with some fields changed."""
    return make_card


@pytest.fixture(scope="session")
def detector_with() -> Callable[..., Detector]:
    """`make_detector`: a stand-in with another seed or some fields of its card changed."""
    return make_detector


@pytest.fixture(scope="session")
def speckles() -> NDArray[np.uint8]:
    """(150, 170, 3) pixels of smooth coloured noise, without two equal places."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(7).normal(size=(150, 170, 3))
    noise = gaussian_filter(noise, (2, 2, 0))
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    return (noise * 255).astype(np.uint8)
