"""A whole slide: the same nuclei as by any other way, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from napari_nucbudget.core.tissue import TissueMask, find_tissue
from napari_nucbudget.errors import (
    ConfigError,
    DeviceError,
    ImageError,
    OutputError,
    RegionError,
)
from napari_nucbudget.infer import slide as module
from napari_nucbudget.infer.classify import iter_classify
from napari_nucbudget.infer.detect import detect
from napari_nucbudget.infer.slide import SlideSettings, compute_here, iter_slide
from napari_nucbudget.infer.slide_blocks import BlockResult
from napari_nucbudget.infer.slide_plan import GIB, tile_for_memory
from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.images import open_image
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.progress import result_of
from tests.infer import slide_case
from tests.infer.slide_case import compute, damaged, save_mask
from tests.typed_discs import untrained

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_a_slide_gives_what_detection_gives_on_its_tissue(
    slide: Path, dark: Detector, tmp_path: Path
) -> None:
    result = compute(slide, dark, tmp_path / "out")
    source = open_image(slide)
    expected = detect(source, dark, tile=4096)
    expected = expected.select(find_tissue(source, mpp=0.55).contains(expected.yx))
    (points,) = read_points(result.table.path)
    found = points.nuclei
    assert len(found) == len(slide_case.draw()[1]) > 100
    order = np.lexsort(found.yx.T)
    other = np.lexsort(expected.yx.T)
    np.testing.assert_array_equal(found.yx[order], expected.yx[other])
    np.testing.assert_array_equal(found.score[order], expected.score[other])
    np.testing.assert_array_equal(found.id, np.arange(len(found)))
    assert (points.mpp, points.shape, points.image) == (
        pytest.approx(0.55),
        slide_case.SHAPE,
        "a.tif",
    )


def test_tiles_begun_ahead_of_their_turn_end_with_the_same_bytes(
    slide: Path, darkness: Callable[..., Any], tmp_path: Path
) -> None:
    kept = []
    for lead in (0, 1, 3):
        detector = darkness(lead=lead)
        out = tmp_path / str(lead)
        result = compute(slide, detector, out, settings=SlideSettings(scores=True))
        scores: Any = zarr.open_array(out / "scores.zarr", mode="r")
        kept.append((result.table.path.read_bytes(), scores[:].tobytes()))
        assert len(detector.seen) > 9
    assert kept[1] == kept[0]
    assert kept[2] == kept[0]


def test_only_tissue_is_computed(slide: Path, dark: Any, tmp_path: Path) -> None:
    mask = np.zeros((43, 47), np.uint8)
    mask[7:19, 7:12] = 1  # level-0 rows 70 .. 190, columns 70 .. 120
    settings = SlideSettings(mask=save_mask(tmp_path / "mask.png", mask))
    compute(slide, dark, tmp_path / "out", settings=settings)
    assert len(dark.seen) == 2  # tiles of 64: rows 64 .. 192, columns 64 .. 128


@pytest.mark.parametrize("stain", [None, StainReference(mean=(0.5, 0.7, 0.4), std=(0.3,) * 3)])
def test_classes_are_those_of_classifying_afterwards(
    slide: Path, dark: Detector, tmp_path: Path, stain: StainReference | None
) -> None:
    classifier = untrained(stain=stain)
    half = np.zeros((43, 47), np.uint8)
    half[10:16, 10:16] = 1
    mask = save_mask(tmp_path / "mask.png", half)
    result = compute(
        slide, dark, tmp_path / "out", classifier=classifier, settings=SlideSettings(mask=mask)
    )
    (points,) = read_points(result.table.path)
    assert len(points.nuclei) > 3
    expected = result_of(iter_classify(open_image(slide), points.nuclei, classifier))
    np.testing.assert_allclose(points.nuclei.prob, expected.prob, atol=1e-5)
    np.testing.assert_array_equal(points.nuclei.label, expected.label)


def test_a_mask_says_where(slide: Path, dark: Detector, tmp_path: Path) -> None:
    mask = np.zeros((43, 47), np.uint8)
    mask[10:20, 12:30] = 1
    settings = SlideSettings(mask=save_mask(tmp_path / "mask.png", mask))
    result = compute(slide, dark, tmp_path / "out", settings=settings)
    (points,) = read_points(result.table.path)
    expected = detect(open_image(slide), dark)
    inside = Region(100, 120, 100, 180).contains(expected.yx)
    assert len(points.nuclei) == inside.sum() > 5
    # the pixel size stands in the file as a ratio of whole numbers
    assert result.area_mm2 == pytest.approx(100 * 180 * 0.55**2 * 1e-6, rel=1e-5)


def test_a_mask_of_another_slide_is_refused(slide: Path, dark: Detector, tmp_path: Path) -> None:
    settings = SlideSettings(mask=save_mask(tmp_path / "mask.png", np.ones((43, 90), np.uint8)))
    with pytest.raises(RegionError, match="does not fit a slide of 430 x 470"):
        compute(slide, dark, tmp_path / "out", settings=settings)


def test_blocks_may_come_in_any_order(slide: Path, dark: Detector, tmp_path: Path) -> None:
    def backwards(prepared: Any, blocks: Any) -> Any:
        events = list(compute_here(prepared, list(reversed(blocks))))
        yield from sorted(
            (e for e in events if isinstance(e, BlockResult)), key=lambda e: -e.number
        )

    one = compute(slide, dark, tmp_path / "one")
    other = compute(slide, dark, tmp_path / "other", compute=backwards)
    assert one.table.path.read_bytes() == other.table.path.read_bytes()


def test_what_does_not_decode_is_listed_and_the_rest_is_there(
    slide: Path, dark: Detector, tmp_path: Path
) -> None:
    bad = damaged(slide, tmp_path / "bad.tif", 3, 3)
    mask = save_mask(tmp_path / "mask.png", np.ones((43, 47), np.uint8))
    settings = SlideSettings(mask=mask)
    result = compute(bad, dark, tmp_path / "out", settings=settings)
    skipped = [region for region, _ in result.table.skipped]
    hole = Region(192, 192, 64, 64)
    missed = np.zeros(slide_case.SHAPE, bool)
    for region in skipped:
        missed[region.slices] = True
    assert missed[hole.slices].all()
    assert missed.sum() <= 4 * hole.area  # and half a tile around it
    assert all("row 3, column 3" in reason for _, reason in result.table.skipped)
    (points,) = read_points(result.table.path)
    expected = detect(open_image(slide), dark)
    kept = expected.select(~missed[tuple(np.floor(expected.yx + 0.5).astype(int).T)])
    assert 10 < len(expected) - len(kept) < 40
    assert abs(len(points.nuclei) - len(kept)) <= 2  # a peak's place is refined over an edge


def test_a_folder_of_another_slide_is_refused(slide: Path, dark: Detector, tmp_path: Path) -> None:
    other = slide_case.write(tmp_path / "b.tif", slide_case.draw(seed=1)[0])
    compute(slide, dark, tmp_path / "out")
    with pytest.raises(OutputError, match=r"another slide, a\.tif \(430 x 470 pixels\)"):
        compute(other, dark, tmp_path / "out")


def test_other_settings_are_refused_by_name(slide: Path, dark: Detector, tmp_path: Path) -> None:
    compute(slide, dark, tmp_path / "out")
    with pytest.raises(OutputError, match=r"other settings: threshold was 0\.4, now 0\.7"):
        compute(slide, dark, tmp_path / "out", settings=SlideSettings(threshold=0.7))


def test_a_folder_of_something_else_is_refused(slide: Path, dark: Detector, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else than the result of a slide"):
        compute(slide, dark, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_damaged_slide_is_refused_before_a_folder_is_made(dark: Detector, tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"II*\0" + b"\0" * 50)
    with pytest.raises(ImageError, match=r"a\.svs"):
        compute(tmp_path / "a.svs", dark, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_slide_of_glass_gives_an_empty_table(dark: Detector, tmp_path: Path) -> None:
    path = slide_case.write(tmp_path / "a.tif", np.full((440, 440, 3), 243, np.uint8))
    result = compute(path, dark, tmp_path / "out")
    (points,) = read_points(result.table.path)
    assert (len(points.nuclei), result.area_mm2, result.table.nuclei) == (0, 0.0, 0)


def test_memory_that_runs_out_is_said(
    slide: Path, darkness: Callable[..., Detector], tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match="Memory ran out in a tile of 64 x 64"):
        compute(slide, darkness(largest=20), tmp_path / "out")


def test_scores_are_kept_as_bytes(slide: Path, dark: Detector, tmp_path: Path) -> None:
    upper = np.zeros((43, 47), np.uint8)
    upper[:20] = 1  # level-0 rows 0 .. 200
    mask = save_mask(tmp_path / "mask.png", upper)
    settings = SlideSettings(scores=True, mask=mask)
    result = compute(slide, dark, tmp_path / "out", settings=settings)
    kept: Any = zarr.open_array(tmp_path / "out" / "scores.zarr", mode="r")
    table = pq.read_table(result.table.path).to_pandas()
    rows, columns = np.floor(table[["y", "x"]].to_numpy() + 0.5).astype(int).T
    values = kept[:][rows, columns] / 255
    assert kept.shape == slide_case.SHAPE
    assert np.abs(values - table["score"]).max() < 0.2
    assert kept[:256].any()
    assert not kept[256:].any()


def test_less_memory_is_smaller_tiles_and_too_little_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    assert [tile_for_memory(int(n * GIB)) for n in (4, 2, 1.3)] == [1024, 512, 256]
    with pytest.raises(ConfigError, match=r"at least 1\.25 GiB"):
        tile_for_memory(GIB)


def test_progress_reaches_its_total_and_tells_the_time_left(
    slide: Path, dark: Detector, tmp_path: Path
) -> None:
    reports = list(iter_slide(slide, dark, out=tmp_path / "out"))
    assert reports[0].done == 0
    assert reports[-1].done == reports[-1].total
    assert reports[-1].seconds_left == 0
    assert all(a.done <= b.done for a, b in pairwise(reports))
    assert module.MAX_MEMORY == 4 * GIB


def test_a_mask_part_knows_the_same_as_the_mask(slide: Path, dark: Detector) -> None:
    from napari_nucbudget.infer.model_grid import ModelGrid
    from napari_nucbudget.infer.slide_plan import level0, plan_blocks

    rng = np.random.default_rng(2)
    tissue = TissueMask(rng.random((29, 31)) < 0.5, 470 / 31)
    grid = ModelGrid.of(open_image(slide), mpp=0.5, model_mpp=0.61)
    for block in plan_blocks(grid, tissue, tile=64, halo=9, align=1):
        place = level0(grid, block.core)
        yx = (rng.random((200, 2)) * (place.height, place.width) + (place.y, place.x)).astype("f4")
        yx = yx[Region.whole(slide_case.SHAPE).contains(yx)]
        np.testing.assert_array_equal(block.on_tissue(yx), tissue.contains(yx))
