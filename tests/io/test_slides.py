"""Slides as scanners write them, all through one source."""

from __future__ import annotations

import hashlib
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
import zarr
from numpy.typing import NDArray
from PIL import Image

from napari_nucbudget.errors import ImageError, PixelSizeError, SlideGoneError, TileError
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


def ome_zarr(path: Path, rgb: NDArray[np.uint8], *, axes: str, version: int, unit: str) -> Path:
    """Two levels of an NGFF image, 0.4 (zarr 2) or 0.5 (zarr 3)."""
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    sizes = {"t": 1, "z": 1, "c": 3, "y": None, "x": None}
    datasets = []
    for number, step in enumerate((1, 4)):
        pixels = rgb[::step, ::step]
        order = [axis for axis in axes if axis in "yxc"]
        pixels = np.transpose(pixels, ["yxc".index(axis) for axis in order])
        pixels = pixels.reshape(
            [dict(zip(order, pixels.shape, strict=True)).get(a, 1) for a in axes]
        )
        chunks = tuple(64 if a in "yx" else sizes[a] or 1 for a in axes)
        array = group.create_array(
            str(number), shape=pixels.shape, chunks=chunks, dtype=pixels.dtype
        )
        array[...] = pixels
        scale = [0.25 * step if a in "yx" else 1.0 for a in axes]
        datasets.append(
            {
                "path": str(number),
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
        )
    described = [{"name": a, "unit": unit} if a in "yx" else {"name": a} for a in axes]
    facts = {"multiscales": [{"axes": described, "datasets": datasets}]}
    group.attrs.update(facts if version == 2 else {"ome": {"version": "0.5", **facts}})
    return path


@pytest.mark.parametrize(("axes", "version"), [("tczyx", 2), ("cyx", 3), ("yxc", 3)])
def test_an_ome_zarr_is_read_whatever_the_order_of_its_axes(
    tmp_path: Path, rgb: NDArray[np.uint8], axes: str, version: int
) -> None:
    path = ome_zarr(tmp_path / "a.zarr", rgb, axes=axes, version=version, unit="micrometer")
    source = open_image(path)
    assert [level.shape for level in source.levels] == [(280, 320), (70, 80)]
    assert source.mpp == pytest.approx(0.25)
    assert np.array_equal(source.read(Region(30, 50, 200, 180)), rgb[30:230, 50:230])
    assert np.array_equal(source.read(Region(5, 6, 20, 30), 1), rgb[::4, ::4][5:25, 6:36])


@pytest.mark.parametrize(("unit", "mpp"), [("nanometer", None), ("pixel", None), ("", None)])
def test_an_ome_zarr_in_other_units_is_converted_or_has_no_pixel_size(
    tmp_path: Path, rgb: NDArray[np.uint8], unit: str, mpp: float | None
) -> None:
    path = ome_zarr(tmp_path / "a.zarr", rgb, axes="cyx", version=3, unit=unit)
    if unit == "nanometer":
        with pytest.raises(PixelSizeError, match=r"0\.00025 µm/px"):
            open_image(path)
    else:
        assert open_image(path).mpp == mpp


def test_a_stack_in_zarr_is_refused_with_words(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("0", shape=(3, 5, 40, 50), dtype="uint8")
    axes = [{"name": a} for a in "czyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    with pytest.raises(ImageError, match=r"holds a stack \(z: 5\)"):
        open_image(tmp_path / "a.zarr")


def test_a_group_without_ome_metadata_says_what_to_give(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(ImageError, match="without OME metadata"):
        open_image(tmp_path / "a.zarr")


def test_a_zarr_that_disappears_is_an_error_never_an_empty_image(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    path = ome_zarr(tmp_path / "a.zarr", rgb, axes="yxc", version=3, unit="micrometer")
    source = open_image(path)
    source.read(Region(0, 0, 10, 10))
    shutil.rmtree(path)
    with pytest.raises(SlideGoneError, match="disappeared while it was read"):
        source.read(Region(200, 200, 10, 10))


def test_a_damaged_zarr_chunk_is_named(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    path = ome_zarr(tmp_path / "a.zarr", rgb, axes="yxc", version=3, unit="micrometer")
    (path / "0" / "c" / "1" / "2" / "0").write_bytes(b"no chunk")
    source = open_image(path)
    source.read(Region(0, 0, 60, 60))
    with pytest.raises(TileError) as caught:
        source.read(Region(60, 60, 100, 100))
    assert caught.value.yxhw == (64, 128, 64, 64)


def test_a_folder_that_is_no_zarr_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        open_slide(tmp_path)


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


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_folders_of_one_shape_are_told_apart_by_their_pixels_and_attributes(
    tmp_path: Path, rgb: NDArray[np.uint8], version: int
) -> None:
    facts: dict[str, Any] = {"axes": "cyx", "version": version, "unit": "micrometer"}
    other = rgb.copy()
    other[100:180, 130:190] //= 2
    one = ome_zarr(tmp_path / "a.zarr", rgb, **facts)
    same = Path(shutil.copytree(one, tmp_path / "b.zarr"))
    assert slide_fingerprint(one) == slide_fingerprint(same)
    beside = ome_zarr(tmp_path / "c.zarr", other, **facts)
    assert slide_fingerprint(one) != slide_fingerprint(beside)
    zarr.open_group(str(same), mode="a").attrs["name"] = "another"
    assert slide_fingerprint(one) != slide_fingerprint(same)


def test_the_fingerprint_of_a_zarr_folder_begins_with_that_of_version_0_1_0(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    path = ome_zarr(tmp_path / "a.zarr", rgb, axes="yxc", version=2, unit="micrometer")
    before = hashlib.sha256()
    for file in sorted(f for f in path.rglob("*") if f.name in ("zarr.json", ".zarray")):
        before.update(file.relative_to(path).as_posix().encode() + file.read_bytes())
    assert slide_fingerprint(path).partition("-")[0] == before.hexdigest()


def test_a_zarr_folder_of_many_chunks_has_its_fingerprint_from_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(640, 640, 3), chunks=(8, 8, 3), dtype="uint8"
    )
    array[:320] = 1  # the chunks of the lower half are not stored
    read: list[Path] = []
    opened = Path.open

    def counted(path: Path, *arguments: Any, **options: Any) -> Any:
        read.append(path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", counted)
    slide_fingerprint(tmp_path / "a.zarr")
    assert 32 <= len(read) < 80  # of 3,200


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
