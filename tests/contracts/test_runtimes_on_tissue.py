"""What every runtime promises, on real tissue: exact ones the map, reduced ones the nuclei."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_nucbudget.core.matching import match
from napari_nucbudget.infer.detect import detect
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.models.runtimes import RUNTIMES, why_not
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import AnnotatedImage

RADIUS_UM = 3.3
MODELS = ["nuclei-fast", "nuclei-fcn"]
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here"),
    ),
]


@pytest.fixture(scope="module")
def images(nucbudget_data: Path) -> list[AnnotatedImage]:
    """Validation images, breast first: of other patients than the models were trained on."""
    sets = [nucbudget_data / name for name in ("breast", "colon")]
    return [image for each in sets for image in read_label_set(each, splits=("validation",))]


def usable(model: str, device: str, *, exact: bool) -> list[str]:
    network = load_detector(model, device=device).network
    names = [n for n in RUNTIMES if RUNTIMES[n].exact == exact]
    return [n for n in names if why_not(n, network, torch.device(device)) is None]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", MODELS)
def test_exact_runtimes_give_the_map_of_torch(
    model: str, device: str, images: list[AnnotatedImage]
) -> None:
    detector = load_detector(model, device="cpu", precision="float32")
    other = load_detector(model, device=device, precision="float32")
    for image in images[:2]:
        grid = ModelGrid.of(image.source, mpp=image.mpp, model_mpp=detector.card.input.mpp)
        rgb = grid.read(Region(0, 0, 200, 240).clipped(grid.shape))
        expected = detector.with_runtime("eager").proximity(rgb)
        for name in usable(model, device, exact=True):
            found = other.with_runtime(name).proximity(rgb)
            assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max(), name


def hits(found: np.ndarray, wanted: np.ndarray, mpp: float) -> int:
    return len(match(found, wanted, radius=RADIUS_UM / mpp)[0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("model", "count"), [("nuclei-fast", 22), ("nuclei-fcn", 4)])
def test_reduced_runtimes_find_the_same_nuclei(
    model: str, count: int, device: str, images: list[AnnotatedImage]
) -> None:
    images = images[:count]
    exact = load_detector(model, device="cpu", precision="float32")  # its plain runtime: exact
    expected = [detect(image.source, exact, mpp=image.mpp).yx for image in images]
    truth = [image.nuclei.yx for image in images]

    def f1(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
        shared = sum(
            hits(a, b, image.mpp) for a, b, image in zip(found, wanted, images, strict=True)
        )
        return 2 * shared / (sum(map(len, found)) + sum(map(len, wanted)))

    for name in usable(model, device, exact=False):
        reduced = load_detector(model, device=device).with_runtime(name)
        found = [detect(image.source, reduced, mpp=image.mpp).yx for image in images]
        same = f1(found, expected)
        assert same >= 0.999, name
        assert abs(f1(found, truth) - f1(expected, truth)) <= 0.002, name
