"""TIFF files that are broken or forged are refused in words, before anything is allocated."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_nucbudget.errors import ImageError
from napari_nucbudget.io.images import open_image
from napari_nucbudget.types.image import Region


def tiff_that_claims(path: Path, width: int, height: int, *, compression: int = 5) -> Path:
    """A TIFF of 150 bytes: one strip, and a header that says what it likes."""
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 3),
        (278, 4, 1, 64),
        (279, 4, 1, 20),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 28) + bytes(20) + directory + bytes(4))
    return path


@pytest.mark.parametrize("compression", [1, 5, 8], ids=["plain", "LZW", "deflate"])
def test_a_header_that_claims_200000_by_200000_is_refused_at_once(
    tmp_path: Path, compression: int
) -> None:
    path = tiff_that_claims(tmp_path / "forged.tif", 200_000, 200_000, compression=compression)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"claims 200000 x 200000 x 3 values \(120 GB\)"):
            open_image(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_header_that_lists_too_few_strips_is_refused(tmp_path: Path) -> None:
    path = tiff_that_claims(tmp_path / "forged.tif", 100, 10_000)
    with pytest.raises(ImageError, match=r"in 157 tiles or strips, but lists 1"):
        open_image(path)


def test_a_strip_too_large_to_decode_is_refused(tmp_path: Path) -> None:
    path = tiff_that_claims(tmp_path / "forged.tif", 20_000_000, 64)
    path.write_bytes(path.read_bytes() + bytes(50_000))
    with pytest.raises(ImageError, match=r"in pieces of 3\.8 GB.*Save it as a tiled TIFF"):
        open_image(path)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.95])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_truncated_tiff_is_refused(tmp_path: Path, part: float, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3)).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(16, 16), compression=compression)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageError, match=r"truncated|not a TIFF that can be read"):
        open_image(path)


def test_a_tiff_cut_within_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08")
    with pytest.raises(ImageError, match=r"a\.tif is (not a TIFF|damaged or truncated)"):
        open_image(tmp_path / "a.tif")


def test_a_damaged_tile_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[3]
    data = bytearray(path.read_bytes())
    data[offset : offset + 60] = bytes(60)
    path.write_bytes(bytes(data))
    source = open_image(path)
    assert np.array_equal(source.read(Region(0, 0, 32, 64)), pixels[:32])
    with pytest.raises(ImageError, match=r"is damaged: the pixels at y=32, x=32 of level 0"):
        source.read(Region(32, 32, 32, 32))
