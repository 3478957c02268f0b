"""Memory stays bounded, and running out of it is answered by smaller tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_nucbudget.errors import (
    DeviceError,
)
from napari_nucbudget.infer.detect import detect, iter_detect
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import ArraySource, Level, Region
from napari_nucbudget.types.nuclei import Nuclei
from tests.reports import collect

MPP = 0.55


def places(nuclei: Nuclei) -> list[tuple[float, float]]:
    return [tuple(p) for p in nuclei.yx.tolist()]


class EndlessSource:
    """An image that is made up where it is read, and remembers how much was asked for."""

    name = "endless"
    mpp = 0.5
    shape = (4000, 4000)
    levels = (Level((4000, 4000), 1.0),)

    def __init__(self) -> None:
        self.most = 0

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        assert region.clipped(self.shape) == region
        self.most = max(self.most, region.area)
        rows = np.arange(region.y, region.bottom)[:, None] % 500 == 250
        columns = np.arange(region.x, region.right)[None] % 500 == 250
        grey = np.where(rows & columns, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)


def test_never_more_than_a_tile_and_its_halo_is_read(
    darkness: Callable[..., Detector],
) -> None:
    source, detector = EndlessSource(), darkness()
    found = detect(source, detector, threshold=0.1, tile=1024)
    assert len(found) == 8 * 8
    halo = 2 + 5 + 1
    assert max(max(shape) for shape in detector.seen) <= 1024 + 2 * halo
    assert source.most <= ((1024 + 2 * halo) * 1.1 + 4) ** 2


OUT_OF_MEMORY = [
    pytest.param(MemoryError(), id="numpy"),
    pytest.param(torch.OutOfMemoryError("CUDA out of memory."), id="cuda"),
    pytest.param(torch.OutOfMemoryError(""), id="cuda without words"),
    pytest.param(
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        id="torch cpu",
    ),
    pytest.param(RuntimeError("MPS backend out of memory"), id="mps"),
    pytest.param(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), id="cublas"),
]


def blobs(shape: tuple[int, int] = (600, 700)) -> NDArray[np.uint8]:
    noise = gaussian_filter(np.random.default_rng(0).random(shape), 4)
    noise = (noise - noise.min()) / np.ptp(noise)
    return np.repeat((255 * noise)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_is_answered_by_smaller_tiles_with_the_same_result(
    darkness: Callable[..., Detector], error: BaseException
) -> None:
    image = blobs()
    expected = detect(image, darkness(), mpp=MPP, tile=512)
    small = darkness(largest=200, error=error)
    assert places(detect(image, small, mpp=MPP, tile=512)) == places(expected)
    assert len(expected) > 20


def test_a_size_that_did_not_fit_is_not_tried_again(
    darkness: Callable[..., Detector],
) -> None:
    detector = darkness(largest=200)
    detect(blobs(), detector, mpp=MPP, tile=512)
    assert sum(max(shape) > 200 for shape in detector.seen) == 2  # 512, 256, then never again


def test_the_kept_map_is_whole_although_memory_ran_out(
    darkness: Callable[..., Detector],
) -> None:
    source = ArraySource(blobs(), mpp=MPP)
    region = Region(50, 60, 400, 500)
    maps = [
        collect(iter_detect(source, detector, region=region, keep_map=True))[1].score_map
        for detector in (darkness(), darkness(largest=250))
    ]
    assert maps[0] is not None
    assert maps[1] is not None
    assert np.array_equal(maps[0].values, maps[1].values)


def test_when_even_the_smallest_tile_does_not_fit_that_is_said(
    darkness: Callable[..., Detector],
) -> None:
    with pytest.raises(DeviceError, match=r"Memory ran out even for a tile of 64 x 64 pixels"):
        detect(blobs(), darkness(largest=10), mpp=MPP, tile=512)


def test_another_error_of_torch_is_not_taken_for_full_memory(
    darkness: Callable[..., Detector],
) -> None:
    detector = darkness(largest=10, error=RuntimeError("expected scalar type Float"))
    with pytest.raises(RuntimeError, match="scalar type"):
        detect(blobs(), detector, mpp=MPP)
    assert len(detector.seen) == 1
