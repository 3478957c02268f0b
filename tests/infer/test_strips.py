"""A network in bands: strips as high as the image give what one tile gives, in little memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_nucbudget.errors import ModelError
from napari_nucbudget.infer import model_grid, strips
from napari_nucbudget.infer.detect import Detection, detect, iter_detect
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.models.runtimes import Banded
from napari_nucbudget.types.image import ArraySource, Region
from tests.reports import collect


@pytest.fixture(autouse=True)
def every_tile_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "WORTH_BANDS", 0)
    monkeypatch.setattr(strips, "PIECE", 100)


@dataclass(frozen=True, eq=False)
class Narrow(Detector):
    """With strips of 200 pixels, so that a small image has several."""

    @property
    def dense_tile(self) -> int:
        return 200


@pytest.fixture(scope="module")
def fast() -> Narrow:
    """The shipped fast detector in float64, where two ways to add agree on every comparison."""
    own = load_detector("nuclei-fast", device="cpu")
    network = copy.deepcopy(own.network).double()
    return Narrow(card=own.card, network=network, device=own.device)


@pytest.fixture(scope="module")
def tissue() -> NDArray[np.uint8]:
    """(903, 517, 3): dark blobs on pink, of the size of nuclei."""
    rng = np.random.default_rng(5)
    noise = gaussian_filter(rng.normal(size=(903, 517)), 5)
    dark = (noise > 0.6 * noise.std()) * gaussian_filter(rng.random((903, 517)), 2)
    rgb = np.array([230, 190, 220]) - dark[..., None] * np.array([190, 190, 100])
    return np.clip(rgb + rng.normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)


def found(
    detector: Detector, tissue: NDArray[np.uint8], *, mpp: float = 0.55, **options: object
) -> tuple[int, Detection]:
    steps = iter_detect(ArraySource(tissue, mpp=mpp), detector, threshold=0.1, **options)  # type: ignore[arg-type]
    reports, detection = collect(steps)
    assert reports[-1].done == reports[-1].total
    return len(reports), detection


@pytest.mark.parametrize("mpp", [0.55, 0.4, 0.7])
@pytest.mark.parametrize("region", [None, Region(21, 233, 590, 201)])
def test_strips_give_what_one_tile_gives(
    fast: Narrow,
    tissue: NDArray[np.uint8],
    mpp: float,
    region: Region | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces, several = found(fast, tissue, mpp=mpp, region=region, keep_map=True)
    monkeypatch.setattr(strips, "WORTH_BANDS", tissue.size)
    reports, one = found(fast, tissue, mpp=mpp, region=region, tile=2048, keep_map=True)
    assert reports == 1
    assert pieces > 2
    assert len(one.nuclei) > 15
    np.testing.assert_array_equal(several.nuclei.yx, one.nuclei.yx)
    np.testing.assert_allclose(several.nuclei.score, one.nuclei.score, atol=1e-9)
    assert one.score_map is not None
    assert several.score_map is not None
    np.testing.assert_allclose(several.score_map.values, one.score_map.values, atol=1e-6)


@pytest.mark.parametrize("height", [1, 7, 127, 128, 129, 255, 256, 263, 903])
def test_the_map_in_bands_is_the_map(fast: Narrow, tissue: NDArray[np.uint8], height: int) -> None:
    image = tissue[:height].astype(np.float64)
    rows = fast.band_rows
    assert rows is not None
    cuts = [*range(rows, height - rows + 1, rows)]
    parts = list(fast.proximity_in_bands(np.split(image, cuts)))
    np.testing.assert_allclose(np.concatenate(parts), fast.proximity(image), atol=1e-12)


@pytest.mark.parametrize("step", [1.0, 0.8, 2.2])
@pytest.mark.parametrize("window", [Region(0, 0, 300, 200), Region(13, 40, 257, 130)])
def test_bands_of_a_grid_are_its_windows_cut(
    tissue: NDArray[np.uint8], step: float, window: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    class Counted(ArraySource):
        def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
            reads.append(region.area * 3)
            return super().read(region, level)

    grid = ModelGrid.of(Counted(tissue, mpp=0.55 / step), mpp=0.55 / step, model_mpp=0.55)
    whole = grid.read(window)
    for chunk in (1, 50_000, 1 << 30):
        monkeypatch.setattr(model_grid, "CHUNK", chunk)
        reads.clear()
        bands = list(grid.bands(window, 64))
        assert [len(band) for band in bands[:-1]] == [64] * (window.height // 64 - 1)
        np.testing.assert_array_equal(np.concatenate(bands), whole)
        assert (len(reads) == 1) == (chunk == 1 << 30)
        assert chunk > 1 or len(reads) == len(bands)


def test_where_memory_runs_out_in_a_strip_smaller_tiles_go_on_below(
    fast: Narrow, tissue: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected = found(fast, tissue, keep_map=True)
    forward = fast._forward
    assert isinstance(forward, Banded)
    calls = 0

    class Failing:
        """A band that does not fit, in the middle of the second strip."""

        def __init__(self) -> None:
            self.bands = forward.begin()

        def __call__(self, x: torch.Tensor, *, last: bool) -> torch.Tensor:
            nonlocal calls
            calls += 1
            if calls == 11:
                raise MemoryError
            return self.bands(x, last=last)

    poor = replace(fast)
    monkeypatch.setitem(poor.__dict__, "_forward", Banded(forward.whole, forward.rows, Failing))
    _, detection = found(poor, tissue, keep_map=True)
    assert calls > 15
    np.testing.assert_array_equal(detection.nuclei.yx, expected.nuclei.yx)
    assert detection.score_map is not None
    assert expected.score_map is not None
    np.testing.assert_allclose(detection.score_map.values, expected.score_map.values, atol=1e-6)


def test_values_that_are_not_numbers_are_refused_in_bands_too(
    fast: Narrow, tissue: NDArray[np.uint8]
) -> None:
    broken = replace(fast, network=copy.deepcopy(fast.network))
    with torch.no_grad():
        next(broken.network.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="not numbers"):
        detect(tissue, broken, mpp=0.55)


def test_table_1_has_no_bands(real_detector: Detector) -> None:
    assert real_detector.band_rows is None
    assert strips.strip_size(real_detector) == real_detector.dense_tile
