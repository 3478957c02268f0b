"""Detectors for testing inference: one that is quick and known, one that is exact."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_detector
from tests.infer import slide_case


@dataclass(frozen=True, eq=False)
class DarknessDetector(Detector):
    """Its map is the darkness of each pixel: quick, and known at every place."""

    largest: int | None = None
    error: BaseException = field(default_factory=MemoryError)
    seen: list[tuple[int, int]] = field(default_factory=list)
    lead: int = 0

    @property
    def halo(self) -> int:
        return 0

    @property
    def ahead(self) -> int:
        return self.lead

    def begin(self, rgb: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        self.seen.append(rgb.shape[:2])
        if self.largest is not None and max(rgb.shape[:2]) > self.largest:
            raise self.error
        found = (1 - rgb.mean(axis=-1) / 255).astype(np.float32)
        return lambda: found


@pytest.fixture
def darkness(card_with: Callable[..., Any]) -> Callable[..., DarknessDetector]:
    def make(card: dict[str, Any] | None = None, **options: Any) -> DarknessDetector:
        return DarknessDetector(
            card=card_with(**{"smoothing_px": 0.5, "threshold": 0.4, **(card or {})}),
            network=torch.nn.Identity(),
            device=torch.device("cpu"),
            **options,
        )

    return make


@pytest.fixture(scope="session")
def double_detector(detector_with: Callable[..., Detector]) -> Detector:
    """In float64, so that two ways to add up the same numbers agree on every comparison."""
    detector = detector_with()
    return replace(detector, network=copy.deepcopy(detector.network).double())


@pytest.fixture(scope="session")
def real_detector() -> Detector:
    return load_detector("nuclei-fcn", device="cpu")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    slide_case.small_blocks(monkeypatch.setattr)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return slide_case.write(tmp_path_factory.mktemp("slides") / "a.tif", slide_case.draw()[0])


@pytest.fixture
def dark(darkness: Callable[..., Detector]) -> Detector:
    return darkness()
