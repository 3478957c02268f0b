"""Slides on worker processes: the tables of a single machine, also where a worker dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_nucbudget.errors import ConfigError, ImageError, ModelError
from napari_nucbudget.infer.cluster import BlockJob, compute_block, compute_on, connected
from napari_nucbudget.infer.slide import iter_slide
from napari_nucbudget.io.slides import slide_fingerprint
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.progress import result_of
from tests.infer import slide_case

pytestmark = pytest.mark.filterwarnings("ignore:Port .* is already in use")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    slide_case.small_blocks(monkeypatch.setattr)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with connected(local=3) as client:
        yield client


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_case.write(tmp_path / "a.tif", slide_case.draw()[0])


def test_tables_equal_those_of_one_machine_although_a_worker_is_killed(
    client: Any, slide: Path, tiny_model: Path, tmp_path: Path
) -> None:
    detector = Detector.load(tiny_model, device="cpu")
    compute = compute_on(client, model=str(tiny_model), device="cpu", threads=1)
    other = slide_case.write(tmp_path / "b.tif", slide_case.draw(seed=1)[0])
    for number, path in enumerate((slide, other)):
        steps = iter_slide(path, detector, out=tmp_path / f"many{number}", compute=compute)
        next(steps)
        next(steps)  # the first block is done, others are computed at this moment
        if number == 0:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        many = result_of(steps)
        one = result_of(iter_slide(path, detector, out=tmp_path / f"one{number}"))
        assert many.table.path.read_bytes() == one.table.path.read_bytes()
        assert one.table.nuclei > 50


def test_one_machine_goes_on_with_what_a_cluster_began(
    client: Any, slide: Path, tiny_model: Path, tmp_path: Path
) -> None:
    detector = Detector.load(tiny_model, device="cpu")
    compute = compute_on(client, model=str(tiny_model), device="cpu", threads=1)
    steps = iter_slide(slide, detector, out=tmp_path / "out", compute=compute)
    for _ in range(5):
        next(steps)
    steps.close()
    rest = result_of(iter_slide(slide, detector, out=tmp_path / "out"))
    one = result_of(iter_slide(slide, detector, out=tmp_path / "one"))
    assert rest.resumed > 0
    assert rest.table.path.read_bytes() == one.table.path.read_bytes()


def job(slide: Path, model: Path, **changes: Any) -> BlockJob:
    values: dict[str, Any] = {
        "path": str(slide),
        "fingerprint": slide_fingerprint(slide),
        "mpp": 0.55,
        "threshold": 0.3,
        "min_distance_um": None,
        "model": str(model),
        "weights": "0",
        "classifier": None,
        "classifier_weights": None,
        "device": "cpu",
        "runtime": "eager",
        "classifier_runtime": None,
        "scores": False,
        "threads": None,
    }
    return BlockJob(**{**values, **changes})


def test_a_worker_that_sees_another_slide_says_so(slide: Path, tiny_model: Path) -> None:
    with pytest.raises(ImageError, match="A worker finds another slide"):
        compute_block(job(slide, tiny_model, fingerprint="another"), None)  # type: ignore[arg-type]


def test_a_worker_that_has_another_model_says_so(slide: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="A worker has another tiny"):
        compute_block(job(slide, tiny_model), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", [{}, {"scheduler": "tcp://127.0.0.1:1", "local": 2}])
def test_one_place_to_compute_is_needed(where: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--scheduler ADDRESS"), connected(**where):
        pass
