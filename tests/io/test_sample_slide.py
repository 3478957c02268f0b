"""The drawn slide: a pyramid that others read, and a truth that is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_nucbudget.errors import ConfigError, OutputError
from napari_nucbudget.io.formats.csv import read_points_csv
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.samples import slide as module
from napari_nucbudget.io.samples.slide import DrawnSlide, iter_write_slide, turned, turned_points
from napari_nucbudget.io.samples.tissue import LONGEST_UM, draw_tissue
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.progress import result_of

SHAPE = (1300, 1100)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DrawnSlide]:
    path = tmp_path_factory.mktemp("slide") / "drawn.ome.tif"
    return path, result_of(iter_write_slide(path, SHAPE, distinct=1, side=256, tissue=0.6))


def test_it_is_a_pyramid_with_its_pixel_size(written: tuple[Path, DrawnSlide]) -> None:
    source = open_image(written[0])
    assert [level.shape for level in source.levels] == [SHAPE, (650, 550), (325, 275)]
    assert source.mpp == pytest.approx(0.5)
    with tifffile.TiffFile(written[0]) as tif:
        assert tif.is_ome
        assert (tif.pages[0].tile, int(tif.pages[0].compression)) == ((256, 256), 7)


def test_its_pixels_are_the_blocks_as_they_are_turned(written: tuple[Path, DrawnSlide]) -> None:
    path, drawn = written
    source = open_image(path)
    for row, column in ((0, 0), (2, 1), (3, 3)):
        block = turned(drawn.blocks[drawn.kind[row, column]], int(drawn.turn[row, column]))
        got = source.read(Region(row * 256, column * 256, 256, 256))
        assert np.abs(got.astype(int) - block).mean() < 8  # JPEG of noise


def test_every_level_is_the_one_above_in_half(written: tuple[Path, DrawnSlide]) -> None:
    source = open_image(written[0])
    for number in (1, 2):
        fine = source.read(Region(0, 0, 600 >> number - 1, 500 >> number - 1), number - 1)
        half = fine.reshape(fine.shape[0] // 2, 2, fine.shape[1] // 2, 2, 3).mean(axis=(1, 3))
        got = source.read(Region(0, 0, *half.shape[:2]), number)
        assert np.abs(got - half).mean() < 6


def test_the_table_beside_it_is_the_truth(written: tuple[Path, DrawnSlide]) -> None:
    path, drawn = written
    table = read_points_csv(path.with_name("drawn.truth.csv"))
    truth = drawn.nuclei()
    assert (table.mpp, table.image) == (0.5, "drawn.ome.tif")
    assert len(table.nuclei) == len(truth) > 100
    np.testing.assert_allclose(table.nuclei.yx, truth.yx, atol=0.006)
    np.testing.assert_array_equal(table.nuclei.label, truth.label)
    assert len(np.unique(table.nuclei.id)) == len(truth)


def test_nuclei_of_a_region_are_those_of_the_whole_that_lie_in_it(
    written: tuple[Path, DrawnSlide],
) -> None:
    drawn = written[1]
    region = Region(200, 300, 500, 450)
    whole = drawn.nuclei().yx
    np.testing.assert_array_equal(drawn.nuclei(region).yx, whole[region.contains(whole)])


def test_nuclei_are_dark_where_the_truth_says_and_stay_inside_their_block(
    written: tuple[Path, DrawnSlide],
) -> None:
    path, drawn = written
    red = open_image(path).read(Region.whole(SHAPE))[..., 0].astype(float)
    yx = np.rint(drawn.nuclei().yx).astype(int)
    assert red[yx[:, 0], yx[:, 1]].mean() < red[red < 235].mean() - 40
    assert ((yx % 256 > 20) & (yx % 256 < 235)).all()


@pytest.mark.parametrize("turn", range(8))
def test_points_turn_with_their_block(turn: int) -> None:
    block = np.zeros((8, 8, 3), np.uint8)
    points = np.array([[1, 2], [5, 7], [0, 3]], np.float32)
    for i, (y, x) in enumerate(points.astype(int)):
        block[y, x] = i + 1
    for i, (y, x) in enumerate(turned_points(points, turn, 8).astype(int)):
        assert turned(block, turn)[y, x, 0] == i + 1


def test_no_cell_reaches_across_the_border_of_a_cleared_window() -> None:
    cleared = draw_tissue((160, 160), seed=4, clear_um=LONGEST_UM)
    plain = draw_tissue((160, 160), seed=4)
    inner = (plain.nuclei.yx >= 23.5).all(axis=1) & (plain.nuclei.yx < 135.5).all(axis=1)
    np.testing.assert_allclose(cleared.nuclei.yx, plain.nuclei.yx[inner])
    assert len(plain.nuclei) > len(cleared.nuclei) > 0


@pytest.mark.parametrize(("tissue", "share"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_tissue_takes_the_wanted_share_of_places(tissue: float, share: float) -> None:
    kind, turn = module._layout(20, 30, 3, tissue, 7)
    assert (kind < 3).mean() == pytest.approx(share)
    assert set(np.unique(turn)) <= set(range(8))


def test_the_same_seed_lays_out_the_same_slide() -> None:
    for first, second in zip(
        module._layout(9, 7, 3, 0.4, 5), module._layout(9, 7, 3, 0.4, 5), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 300}, "256, 512, 1024"),
        ({"tissue": 1.5}, r"0 \.\. 1, got 1\.5"),
        ({"distinct": 0}, "At least one block"),
        ({"shape": (0, 5)}, "0 x 5 pixels cannot be written"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_drawing(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    settings: dict[str, Any] = {"shape": SHAPE, **changes}
    with pytest.raises(ConfigError, match=words):
        next(iter_write_slide(tmp_path / "a.ome.tif", **settings))


def test_a_name_that_is_no_tiffs_is_refused_before_drawing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"call it a\.ome\.tif, not a\.png"):
        next(iter_write_slide(tmp_path / "a.png", SHAPE))


def test_where_nothing_can_be_written_no_part_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_truth", full)
    monkeypatch.setattr(module, "draw_tissue", lambda shape, **_: draw_tissue((1, 1), seed=0))
    monkeypatch.setattr(module, "_write_tiff", lambda part, *_: iter(()))
    with pytest.raises(OutputError, match="No space left on device"):
        result_of(iter_write_slide(tmp_path / "a.ome.tif", (256, 256), distinct=1, side=256))
    assert list(tmp_path.iterdir()) == []


def test_two_that_draw_one_file_at_once_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "drawn.ome.tif"
    first, second = (
        iter_write_slide(path, (256, 256), distinct=1, side=256, seed=seed) for seed in (0, 1)
    )
    for steps in (first, second):
        while next(steps).message != "writing levels":
            pass
    result_of(first)
    whole = path.read_bytes()
    result_of(second)
    assert open_image(path).shape == (256, 256)
    assert path.read_bytes() != whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drawn.ome.tif", "drawn.truth.csv"]
