"""Slides that are damaged, forged or no H&E are refused in words, or read as far as whole."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, TileError
from napari_nucbudget.io.images import open_image
from napari_nucbudget.types.image import Region

SIDE = 256


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    rows, columns = np.indices((SIDE, SIDE))
    return np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8)


def slide(path: Path, rgb: NDArray[np.uint8], compression: str = "jpeg") -> Path:
    """Pyramidal OME-TIFF: three levels, the lower two as SubIFDs."""
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (64, 64),
        "compression": compression,
    }
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(rgb, subifds=2, metadata={"axes": "YXS"}, **options)
        tif.write(rgb[::2, ::2], subfiletype=1, **options)
        tif.write(rgb[::4, ::4], subfiletype=1, **options)
    return path


def place_of_tile(path: Path, index: int) -> tuple[int, int]:
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[0]
        return page.dataoffsets[index], page.databytecounts[index]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def point_to(path: Path, level: int, target: int | None) -> None:
    """Let a SubIFD of the first page lie elsewhere; None: at the first page itself."""
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[0]
        offset = page.tags[330].valueoffset + 4 * (level - 1)
        target = page.offset if target is None else target
    overwrite(path, offset, struct.pack("<I", target))


@pytest.mark.parametrize("part", [0.4, 0.9])
def test_a_truncated_slide_is_refused(tmp_path: Path, rgb: NDArray[np.uint8], part: float) -> None:
    path = slide(tmp_path / "a.svs", rgb)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageError, match=r"a\.svs is (damaged or )?truncated"):
        open_image(path)


def test_a_jpeg_tile_without_its_end_is_named_though_the_decoder_would_fill_it(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    path = slide(tmp_path / "a.svs", rgb)
    offset, count = place_of_tile(path, 6)  # row 1, column 2
    overwrite(path, offset + count // 2, bytes(count - count // 2))
    source = open_image(path)
    source.read(Region(0, 0, 64, SIDE))
    with pytest.raises(TileError, match=r"a\.svs is damaged.*row 1, column 2.*no end") as caught:
        source.read(Region(0, 0, SIDE, SIDE))
    assert caught.value.yxhw == (64, 128, 64, 64)
    assert caught.value.level == 0
    source.read(Region(0, 0, 128, 128), 1)


def test_a_tile_that_the_scanner_left_out_is_white_and_told(
    tmp_path: Path, rgb: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    path = slide(tmp_path / "a.svs", rgb)
    with tifffile.TiffFile(path) as tif:
        counts: Any = tif.pages[0]
        at = counts.tags[325].valueoffset
        size = {3: 2, 4: 4}[int(counts.tags[325].dtype)]
    overwrite(path, at + 5 * size, bytes(size))
    with caplog.at_level("WARNING"):
        source = open_image(path)
    assert "leaves out 1 of 16 tiles" in caplog.text
    assert (source.read(Region(64, 64, 64, 64)) == 255).all()
    assert (source.read(Region(0, 0, 64, 64)) < 255).any()


@pytest.mark.parametrize(
    "compression", [7, 8, 33005, 50000], ids=["JPEG", "deflate", "JP2", "zstd"]
)
def test_100_gigabytes_claimed_by_a_megabyte_are_refused_at_once(
    tmp_path: Path, compression: int
) -> None:
    side, tile, tiles = 184_320, 4096, 45 * 45
    lists = 10_000
    entries = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (322, 3, 1, tile),
        (323, 3, 1, tile),
        (324, 4, tiles, lists),
        (325, 4, tiles, lists + 4 * tiles),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    head = head.ljust(lists, b"\0")
    head += struct.pack("<I", 40_000) * tiles + struct.pack("<I", 5000) * tiles
    (tmp_path / "bomb.tif").write_bytes(head.ljust(1_000_000, b"\0"))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"\(102 GB\) in a file of 1,000,000 bytes"):
            open_image(tmp_path / "bomb.tif")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_level_that_is_the_slide_itself_is_left_out(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    path = slide(tmp_path / "a.ome.tif", rgb)
    point_to(path, 1, None)
    source = open_image(path)
    assert [level.shape for level in source.levels] == [(256, 256), (64, 64)]


def test_a_chain_of_pages_that_bites_its_tail_ends(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    path = slide(tmp_path / "a.tif", rgb)
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[0]
        entries = len(page.tags)
        first = page.offset
    overwrite(path, first + 2 + 12 * entries, struct.pack("<I", first))
    source = open_image(path)
    assert source.shape == (256, 256)
    source.read(Region(0, 0, 64, 64))


def test_a_level_that_lies_beyond_the_end_of_the_file_is_told(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    path = slide(tmp_path / "a.ome.tif", rgb)
    point_to(path, 2, path.stat().st_size + 1000)
    with pytest.raises(ImageError, match=r"a\.ome\.tif is damaged or truncated"):
        open_image(path)


def test_a_slide_without_a_pyramid_has_one_level(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", tile=(64, 64))
    assert len(open_image(tmp_path / "a.tif").levels) == 1


def test_levels_that_are_pages_of_their_own_make_a_pyramid(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for step in (1, 2, 4):
            tif.write(rgb[::step, ::step], photometric="rgb", tile=(32, 32), metadata=None)
    source = open_image(tmp_path / "a.tif")
    assert [level.downsample for level in source.levels] == [1, 2, 4]
    assert np.array_equal(source.read(Region(3, 4, 20, 30), 2), rgb[::4, ::4][3:23, 4:34])


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (np.zeros((256, 256), np.uint16), {"photometric": "minisblack"}, "has one channel"),
        (np.zeros((256, 256), np.uint8), {"photometric": "miniswhite"}, "has one channel"),
        (np.zeros((256, 256, 4), np.uint8), {"photometric": "separated"}, "as CMYK"),
        (np.zeros((256, 256, 3), np.uint8), {"photometric": "cielab"}, "as CIELab"),
        (np.zeros((256, 256, 3), np.int32), {"photometric": "rgb"}, "holds int32 values"),
    ],
)
def test_slides_of_other_kinds_are_refused_with_words(
    tmp_path: Path, pixels: NDArray[Any], options: dict[str, Any], words: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 64), **options)
    with pytest.raises(ImageError, match=words):
        open_image(tmp_path / "a.tif").read(Region(0, 0, 10, 10))


def test_a_16_bit_slide_is_read_in_8_bit(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    deep = rgb.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", tile=(64, 64))
    assert np.array_equal(open_image(tmp_path / "a.tif").read(Region(0, 0, 256, 256)), rgb)


@pytest.mark.parametrize(("height", "width"), [(0, 64), (64, 0), (0, 0)])
def test_a_slide_without_pixels_is_refused(tmp_path: Path, height: int, width: int) -> None:
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 3),
        (278, 4, 1, 64),
        (279, 4, 1, 0),
    ]
    data = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    data += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif is (empty|damaged)"):
        open_image(tmp_path / "a.tif")
