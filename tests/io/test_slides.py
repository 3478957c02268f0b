"""Slides as scanners write them, all through one source."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_nucbudget.errors import ImageError, SlideGoneError, TileError
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.slides import open_slide, slide_fingerprint
from napari_nucbudget.io.tiff import TiffSource
from napari_nucbudget.io.vendor_slides import OpenSlideSource
from napari_nucbudget.types.image import Region

APERIO = "Aperio Image Library v11.2.1 \r\n320x280 (64x64) Q=70|AppMag = 40|MPP = 0.2520"


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    """(280, 320, 3), smooth, so that lossy codecs keep it nearly as it is."""
    rows, columns = np.indices((280, 320)) * 0.8
    return np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8)


def tiles_of(pixels: NDArray[np.uint8], side: int) -> Iterator[NDArray[np.uint8]]:
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield np.ascontiguousarray(padded[y : y + side, x : x + side])


def aperio(path: Path, rgb: NDArray[np.uint8], *, compression: Any = "jpeg") -> Path:
    """Baseline, thumbnail in strips, one smaller level, label: as Aperio orders them."""
    options: dict[str, Any] = {"tile": (64, 64), "compression": compression, "metadata": None}
    with tifffile.TiffWriter(path) as tif:
        tif.write(rgb, photometric="rgb", description=APERIO, **options)
        tif.write(rgb[::5, ::5], photometric="rgb", metadata=None, description="Aperio\r\nthumb")
        tif.write(rgb[::4, ::4], photometric="rgb", description="Aperio\r\nlevel", **options)
        tif.write(
            rgb[:200, :90],
            photometric="rgb",
            metadata=None,
            subfiletype=1,
            description="Aperio\r\nlabel 90x200",
        )
    return path


def close_to(got: NDArray[np.uint8], expected: NDArray[np.uint8], by: int = 12) -> bool:
    return bool(np.abs(got.astype(int) - expected).max() <= by)


def test_an_aperio_slide_has_its_levels_without_thumbnail_and_label(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    source = open_image(aperio(tmp_path / "a.svs", rgb))
    assert [level.shape for level in source.levels] == [(280, 320), (70, 80)]
    assert source.mpp == pytest.approx(0.252)
    assert close_to(source.read(Region(30, 50, 200, 180)), rgb[30:230, 50:230])
    assert close_to(source.read(Region(5, 6, 20, 30), 1), rgb[::4, ::4][5:25, 6:36])


@pytest.mark.parametrize("compression", [33003, 33005], ids=["YCbCr", "RGB"])
def test_aperio_jpeg_2000_has_the_right_colours(
    tmp_path: Path, rgb: NDArray[np.uint8], compression: int
) -> None:
    def encoded() -> Iterator[bytes]:
        for tile in tiles_of(rgb, 64):
            stored = tile
            if compression == 33003:
                stored = np.asarray(Image.fromarray(tile).convert("YCbCr"))
            yield imagecodecs.jpeg2k_encode(stored, level=60, codecformat="j2k", mct=False)

    with tifffile.TiffWriter(tmp_path / "a.svs") as tif:
        tif.write(
            encoded(),
            shape=rgb.shape,
            dtype=np.uint8,
            tile=(64, 64),
            photometric="rgb",
            compression=compression,
            description=APERIO,
            metadata=None,
        )
    source = open_image(tmp_path / "a.svs")
    assert close_to(source.read(Region(30, 50, 200, 180)), rgb[30:230, 50:230])


def ndpi(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """Hamamatsu's TIFF: 64-bit offsets, one JPEG, and where its restart intervals begin."""
    stream = BytesIO()
    Image.fromarray(rgb).save(
        stream, "jpeg", quality=95, subsampling=0, restart_marker_blocks=8
    )  # 8 blocks of 8 pixels: tiles of 8 x 64
    jpeg = stream.getvalue()
    scan = jpeg.index(b"\xff\xda") + 2
    first = scan + int.from_bytes(jpeg[scan : scan + 2], "big")
    starts = [first]
    for i in range(first, len(jpeg) - 1):
        if jpeg[i] == 0xFF and 0xD0 <= jpeg[i + 1] <= 0xD7:
            starts.append(i + 2)
    height, width = rgb.shape[:2]
    mcu = struct.pack(f"<{len(starts)}I", *starts)
    at = 12
    resolution_at, mcu_at = at + len(jpeg), at + len(jpeg) + 8
    directory = mcu_at + len(mcu)
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 7),
        (262, 3, 1, 6),
        (273, 4, 1, at),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(jpeg)),
        (282, 5, 1, resolution_at),
        (283, 5, 1, resolution_at),
        (296, 3, 1, 3),
        (65420, 4, 1, 1),
        (65426, 4, len(starts), mcu_at),
    ]
    data = struct.pack("<2sHQ", b"II", 42, directory) + jpeg
    data += struct.pack("<II", 43_478, 1) + mcu + struct.pack("<H", len(entries))
    data += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(data + bytes(8) + bytes(4 * len(entries)))
    return path


def test_an_ndpi_slide_is_read_by_its_restart_intervals(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    source = open_image(ndpi(tmp_path / "a.ndpi", rgb))
    assert source.shape == (280, 320)
    assert source.mpp == pytest.approx(0.23, rel=1e-3)
    assert close_to(source.read(Region(31, 50, 200, 180)), rgb[31:231, 50:230])


SCN = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="c" sizeX="9000" sizeY="9000">
<image name="macro"><pixels sizeX="90" sizeY="90"><dimension sizeX="90" sizeY="90" r="0" ifd="0"/>
</pixels></image>
<image name="slide"><pixels sizeX="320" sizeY="280">
<dimension sizeX="320" sizeY="280" r="0" ifd="1"/><dimension sizeX="80" sizeY="70" r="1" ifd="2"/>
</pixels></image>
</collection></scn>"""


def test_of_a_leica_slide_the_scan_is_read_not_the_overview(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    options: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    fine = {"resolution": (20_000, 20_000), "resolutionunit": 3}
    with tifffile.TiffWriter(tmp_path / "a.scn", bigtiff=True) as tif:
        tif.write(rgb[:90, :90], description=SCN, **options)
        tif.write(rgb, **options, **fine)
        tif.write(rgb[::4, ::4], **options)
    source = open_image(tmp_path / "a.scn")
    assert [level.shape for level in source.levels] == [(280, 320), (70, 80)]
    assert source.mpp == pytest.approx(0.5)
    assert np.array_equal(source.read(Region(30, 50, 200, 180)), rgb[30:230, 50:230])


def test_the_pixel_size_of_a_philips_description_is_read(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    description = (
        '<Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">'
        "&quot;0.000227273&quot; &quot;0.000227273&quot;</Attribute>"
    )
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", description=description)
    assert open_image(tmp_path / "a.tif").mpp == pytest.approx(0.2273, rel=1e-3)


def test_a_picture_is_no_slide(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    assert open_slide(tmp_path / "a.png") is None


@pytest.mark.skipif(not hasattr(os, "truncate"), reason="this system cannot shorten open files")
def test_a_file_that_shrinks_while_it_is_read_is_an_error(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    path = aperio(tmp_path / "a.svs", rgb)
    source = open_image(path)
    source.read(Region(0, 0, 10, 10))
    os.truncate(path, 500)
    with pytest.raises(SlideGoneError, match=r"a\.svs became shorter while it was read"):
        source.read(Region(200, 200, 10, 10))


def test_a_source_that_was_closed_says_so(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    source = TiffSource(aperio(tmp_path / "a.svs", rgb))
    source.close()
    with pytest.raises(SlideGoneError, match="cannot be read any more"):
        source.read(Region(0, 0, 10, 10))


def test_levels_can_be_read_after_their_source_is_gone(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    levels = TiffSource(aperio(tmp_path / "a.svs", rgb)).arrays
    assert close_to(levels[0][:256, :320], rgb[:256])


def test_fingerprints_tell_slides_apart_and_do_not_depend_on_the_name(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    one = aperio(tmp_path / "a.svs", rgb)
    same = Path(shutil.copy(one, tmp_path / "b.svs"))
    other = aperio(tmp_path / "c.svs", 255 - rgb)
    assert slide_fingerprint(one) == slide_fingerprint(same) != slide_fingerprint(other)


class TestOpenSlide:
    """OpenSlide itself, on a TIFF that both can read."""

    @pytest.fixture
    def path(self, tmp_path: Path, rgb: NDArray[np.uint8]) -> Path:
        pytest.importorskip("openslide", reason="OpenSlide (extra 'slides') is not installed")
        path = tmp_path / "a.tif"
        with tifffile.TiffWriter(path) as tif:
            for step in (1, 4):
                tif.write(
                    rgb[::step, ::step],
                    photometric="rgb",
                    tile=(64, 64),
                    compression="jpeg",
                    subfiletype=int(step > 1),
                    resolution=(20_000 / step, 20_000 / step),
                    resolutionunit=3,
                    metadata=None,
                )
        return path

    def test_it_gives_the_same_pixels_and_pixel_size_as_tifffile(self, path: Path) -> None:
        ours, theirs = TiffSource(path), OpenSlideSource(path)
        assert [level.shape for level in theirs.levels] == [(280, 320), (70, 80)]
        assert theirs.mpp == ours.mpp == pytest.approx(0.5)
        for number, level in enumerate(ours.levels):
            region = Region.whole(level.shape)
            assert np.array_equal(theirs.read(region, number), ours.read(region, number))

    def test_after_a_tile_that_does_not_decode_the_others_are_still_read(
        self, path: Path, rgb: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import openslide

        source = OpenSlideSource(path)
        whole = source._slide

        class Broken:
            level_downsamples = whole.level_downsamples

            def read_region(self, *_: object) -> None:
                raise openslide.OpenSlideError("no such tile")

        monkeypatch.setattr(source, "_slide", Broken())
        with pytest.raises(TileError, match="no such tile"):
            source.read(Region(0, 0, 10, 10))
        assert close_to(source.read(Region(0, 0, 10, 10)), rgb[:10, :10])

    def test_a_mirax_file_without_its_folder_is_refused_with_words(self, tmp_path: Path) -> None:
        pytest.importorskip("openslide", reason="OpenSlide (extra 'slides') is not installed")
        (tmp_path / "a.mrxs").write_bytes(b"\xff\xd8\xff" + bytes(500))
        with pytest.raises(ImageError, match=r"a\.mrxs is not a slide .* its folder beside it"):
            open_image(tmp_path / "a.mrxs")

    def test_a_dicom_file_that_is_no_slide_is_refused_with_words(self, tmp_path: Path) -> None:
        pytest.importorskip("openslide", reason="OpenSlide (extra 'slides') is not installed")
        (tmp_path / "scan").write_bytes(bytes(128) + b"DICM" + bytes(200))
        with pytest.raises(ImageError, match=r"scan is (not a slide|damaged)"):
            open_image(tmp_path / "scan")

    def test_without_openslide_the_extra_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "openslide", None)
        (tmp_path / "a.mrxs").write_bytes(bytes(500))
        with pytest.raises(ImageError, match=r"napari-nucbudget\[slides\]"):
            open_image(tmp_path / "a.mrxs")
