"""A whole slide that is stopped, killed or loses its disk: it goes on to the same result."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_nucbudget.errors import (
    ConfigError,
    OutputError,
    SlideGoneError,
)
from napari_nucbudget.infer import slide_plan
from napari_nucbudget.infer.slide import SlideSettings, iter_slide
from napari_nucbudget.infer.slide_plan import GIB
from napari_nucbudget.io.images import open_image
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.progress import result_of
from tests.infer import slide_case
from tests.infer.slide_case import compute, save_mask

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_stopped_after_any_block_it_ends_with_the_same_bytes(
    slide: Path, dark: Any, tmp_path: Path
) -> None:
    whole = compute(slide, dark, tmp_path / "whole")
    tiles = len(dark.seen)
    for stop in (1, 7, 45):
        out = tmp_path / str(stop)
        steps = iter_slide(slide, dark, out=out)
        for _ in range(stop):
            next(steps)
        steps.close()
        assert not (out / "nuclei.parquet").exists()
    dark.seen.clear()
    again = compute(slide, dark, tmp_path / "45")
    assert again.resumed > 0
    assert len(dark.seen) < tiles
    for stop in (1, 7, 45):
        compute(slide, dark, tmp_path / str(stop))
        table = (tmp_path / str(stop) / "nuclei.parquet").read_bytes()
        assert table == whole.table.path.read_bytes()


def test_a_run_goes_on_with_the_tiles_that_it_began_with(
    slide: Path, dark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another version of the detector would take smaller ones, in as much memory."""
    monkeypatch.setattr(slide_plan, "TILES_BY_MEMORY", ((3.0, 1024), (1.0, 512)))
    dark.network.tile = 2048
    whole = compute(slide, dark, tmp_path / "whole")
    steps = iter_slide(slide, dark, out=tmp_path / "out")
    for _ in range(3):
        next(steps)
    steps.close()
    dark.network.tile = 1024
    with pytest.raises(
        ConfigError, match="begun with tiles of 2048 pixels, which need more than 2"
    ):
        compute(slide, dark, tmp_path / "out", settings=SlideSettings(max_memory=2 * GIB))
    again = compute(slide, dark, tmp_path / "out")
    assert again.table.path.read_bytes() == whole.table.path.read_bytes()


@pytest.mark.timeout(900)
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    slide: Path, tiny_model: Path, tmp_path: Path
) -> None:
    script = [sys.executable, slide_case.__file__, slide, tiny_model]
    rng = np.random.default_rng(0)
    out = tmp_path / "killed" / "out"
    out.parent.mkdir()
    parts = 0
    for _ in range(2):
        ready = out.parent / "ready"
        ready.unlink(missing_ok=True)
        child = subprocess.Popen([*script, out, "0.02"], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 400
        # A random moment, while tiles are computed and parts are written.
        wanted = parts + int(rng.integers(1, 4))
        while child.poll() is None and time.monotonic() < deadline:
            if len(list(out.glob("parts/*.parquet"))) >= wanted:
                break
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        child.kill()
        child.communicate()
        parts = len(list(out.glob("parts/*.parquet")))
        assert parts >= wanted
    detector = Detector.load(tiny_model, device="cpu")
    resumed = compute(slide, detector, out)
    assert resumed.resumed >= parts
    whole = compute(slide, detector, tmp_path / "whole")
    assert resumed.table.path.read_bytes() == whole.table.path.read_bytes()
    assert whole.table.nuclei > 50


def test_a_finished_run_is_not_computed_again(slide: Path, dark: Any, tmp_path: Path) -> None:
    first = compute(slide, dark, tmp_path / "out")
    dark.seen.clear()
    again = compute(slide, dark, tmp_path / "out")
    assert (again.table, dark.seen) == (first.table, [])
    assert not (tmp_path / "out" / "parts").exists()


def test_a_part_that_a_power_cut_damaged_is_computed_again(
    slide: Path, dark: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    steps = iter_slide(slide, dark, out=out)
    for _ in range(45):
        next(steps)
    steps.close()
    parts = sorted((out / "parts").iterdir())
    parts[0].write_bytes(b"")
    parts[1].write_bytes(parts[1].read_bytes()[:-20])
    result = compute(slide, dark, out)
    assert result.resumed == len(parts) - 2
    whole = compute(slide, dark, tmp_path / "whole")
    assert result.table.path.read_bytes() == whole.table.path.read_bytes()


def test_a_slide_that_disappears_midway_is_said_and_what_was_done_stays(
    slide: Path, dark: Detector, tmp_path: Path
) -> None:
    path = slide_case.write(tmp_path / "gone.tif", slide_case.draw()[0])
    # With a mask nothing was read to find tissue, so that the cache does not hold the slide.
    mask = save_mask(tmp_path / "mask.png", np.ones((43, 47), np.uint8))
    settings = SlideSettings(mask=mask)
    steps = iter_slide(path, dark, out=tmp_path / "out", settings=settings)
    for _ in range(12):
        next(steps)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 8])
    with pytest.raises(SlideGoneError, match=r"gone\.tif"):
        result_of(steps)
    done = len(list((tmp_path / "out" / "parts").iterdir()))
    path.write_bytes(content)
    assert compute(path, dark, tmp_path / "out", settings=settings).resumed == done > 0


def test_no_space_midway_is_said_and_what_was_done_stays(
    slide: Path, dark: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    steps = iter_slide(slide, dark, out=tmp_path / "out")
    for _ in range(16):
        next(steps)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"No space left on device.*make room"):
            result_of(steps)
    done = len(list((tmp_path / "out" / "parts").iterdir()))
    result = compute(slide, dark, tmp_path / "out")
    assert result.resumed == done
    whole = compute(slide, dark, tmp_path / "whole")
    assert result.table.path.read_bytes() == whole.table.path.read_bytes()


def test_no_space_at_the_end_loses_nothing(
    slide: Path, dark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == "nuclei.parquet":
            raise OSError(28, "No space left on device")
        return move(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OutputError, match=r"No space left on device.*make room"):
            compute(slide, dark, tmp_path / "out")
    dark.seen.clear()
    again = compute(slide, dark, tmp_path / "out")
    assert (again.table.nuclei > 100, dark.seen) == (True, [])


def test_two_runs_in_one_folder_at_once_are_refused(
    slide: Path, dark: Detector, tmp_path: Path
) -> None:
    steps = iter_slide(slide, dark, out=tmp_path / "out")
    next(steps)
    with pytest.raises(OutputError, match="Another process computes into"):
        compute(slide, dark, tmp_path / "out")
    steps.close()


def test_resuming_what_was_never_begun_is_refused(
    slide: Path, dark: Detector, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="no run to go on with"):
        compute(slide, dark, tmp_path / "out", settings=SlideSettings(must_exist=True))


def test_a_run_on_a_zarr_slide_that_an_earlier_version_began_goes_on(
    slide: Path, dark: Detector, tmp_path: Path
) -> None:
    pixels = open_image(slide).read(Region.whole(slide_case.SHAPE))
    other = slide_case.draw(seed=1)[0]
    for name, rgb in (("a", pixels), ("b", other)):
        store = zarr.open_group(tmp_path / name / "s.zarr", mode="w")
        array = store.create_array("0", shape=rgb.shape, dtype="u1", chunks=(64, 64, 3))
        array[:] = rgb
        store.attrs["multiscales"] = [
            {
                "axes": [{"name": n, "unit": "micrometer"} for n in "yxc"],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [{"type": "scale", "scale": [0.55, 0.55, 1]}],
                    }
                ],
            }
        ]
    settings, out = SlideSettings(mpp=0.55), tmp_path / "out"
    first = compute(tmp_path / "a" / "s.zarr", dark, out, settings=settings)
    facts = json.loads((out / "run.json").read_text())
    facts["slide"]["fingerprint"] = facts["slide"]["fingerprint"].partition("-")[0]
    (out / "run.json").write_text(json.dumps(facts))
    again = compute(tmp_path / "a" / "s.zarr", dark, out, settings=settings)
    assert again.resumed > 0
    assert again.table.nuclei == first.table.nuclei > 100
    fresh = tmp_path / "fresh"
    compute(tmp_path / "a" / "s.zarr", dark, fresh, settings=settings)
    with pytest.raises(OutputError, match="result of another slide"):
        compute(tmp_path / "b" / "s.zarr", dark, fresh, settings=settings)
