"""TIFF as scanners, viewers and programs write it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_nucbudget.errors import ImageError, PixelSizeError, RegionError
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.tiff import TiffSource
from napari_nucbudget.types.image import ImageSource, Region


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    """Smooth, so that JPEG keeps it nearly as it is."""
    rows, columns = np.indices((130, 150))
    return np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8)


def written(path: Path, data: NDArray[Any], **options: Any) -> ImageSource:
    tifffile.imwrite(path, data, **options)
    return open_image(path)


def all_of(source: ImageSource) -> NDArray[np.uint8]:
    return source.read(Region.whole(source.shape))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"rowsperstrip": 16}, id="strips"),
        pytest.param({"rowsperstrip": 16, "compression": "lzw", "predictor": 2}, id="LZW strips"),
        pytest.param({"tile": (32, 48), "compression": "zlib"}, id="deflate tiles"),
        pytest.param({"tile": (32, 32)}, id="plain tiles"),
        pytest.param({"bigtiff": True}, id="BigTIFF"),
        pytest.param({"byteorder": ">"}, id="big-endian"),
    ],
)
def test_every_layout_gives_the_pixels_back_whole_and_in_part(
    tmp_path: Path, rgb: NDArray[np.uint8], options: dict[str, Any]
) -> None:
    source = written(tmp_path / "a.tif", rgb, photometric="rgb", **options)
    assert source.shape == (130, 150)
    assert np.array_equal(all_of(source), rgb)
    assert np.array_equal(source.read(Region(31, 40, 50, 70)), rgb[31:81, 40:110])


def test_alpha_is_dropped(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    rgba = np.concatenate([rgb, np.full((130, 150, 1), 7, np.uint8)], axis=2)
    source = written(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(all_of(source), rgb)


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_separate_planes_are_channel_first(
    tmp_path: Path, rgb: NDArray[np.uint8], tile: tuple[int, int] | None
) -> None:
    planes = np.moveaxis(rgb, -1, 0)
    source = written(
        tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", tile=tile
    )
    assert source.shape == (130, 150)
    assert np.array_equal(source.read(Region(3, 5, 60, 70)), rgb[3:63, 5:75])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bits_become_8_by_dropping_the_low_ones(
    tmp_path: Path, rgb: NDArray[np.uint8], byteorder: str
) -> None:
    source = written(
        tmp_path / "a.tif", rgb.astype(np.uint16) * 257, photometric="rgb", byteorder=byteorder
    )
    assert np.array_equal(all_of(source), rgb)


def test_floats_from_0_to_1_are_read(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    source = written(tmp_path / "a.tif", rgb.astype(np.float32) / 255, photometric="rgb")
    assert np.array_equal(all_of(source), rgb)


def test_nan_is_refused_where_it_is_read(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    pixels = rgb.astype(np.float32) / 255
    pixels[100, 3, 1] = np.nan
    source = written(tmp_path / "nan.tif", pixels, photometric="rgb", rowsperstrip=10)
    source.read(Region(0, 0, 50, 50))
    with pytest.raises(ImageError, match=r"nan\.tif holds values that are not numbers"):
        all_of(source)


def pyramid(path: Path, levels: list[NDArray[np.uint8]], **options: Any) -> Path:
    with tifffile.TiffWriter(path, ome=options.pop("ome", True)) as tif:
        common = {"photometric": "rgb", "tile": (64, 64), **options}
        tif.write(
            levels[0],
            subifds=len(levels) - 1,
            metadata={"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25},
            **common,
        )
        for level in levels[1:]:
            tif.write(level, subfiletype=1, **common)
    return path


@pytest.mark.parametrize("compression", [None, "jpeg", "zlib"])
def test_a_pyramidal_ome_tiff_has_its_levels_and_pixel_size(
    tmp_path: Path, rgb: NDArray[np.uint8], compression: str | None
) -> None:
    path = pyramid(
        tmp_path / "a.ome.tif", [rgb, rgb[::2, ::2], rgb[::4, ::4]], compression=compression
    )
    source = open_image(path)
    assert [level.shape for level in source.levels] == [(130, 150), (65, 75), (33, 38)]
    assert [level.downsample for level in source.levels] == pytest.approx([1, 2, 4], rel=0.02)
    assert source.mpp == pytest.approx(0.25)
    for number, step in enumerate((1, 2, 4)):
        window = Region(5, 6, 20, 25)
        expected = rgb[::step, ::step][window.slices].astype(int)
        assert np.abs(source.read(window, number).astype(int) - expected).max() <= 12


@pytest.mark.parametrize(
    ("options", "mpp"),
    [
        pytest.param({"resolution": (20_000, 20_000), "resolutionunit": 3}, 0.5, id="per cm"),
        pytest.param({"resolution": (50_800, 50_800), "resolutionunit": 2}, 0.5, id="per inch"),
        pytest.param({"resolution": (72, 72), "resolutionunit": 2}, None, id="72 dpi"),
        pytest.param({"resolution": (300, 300), "resolutionunit": 2}, None, id="300 dpi"),
        pytest.param({"resolution": (2, 2), "resolutionunit": 1}, None, id="no unit"),
        pytest.param({"description": "Aperio |AppMag = 20|MPP = 0.4990"}, 0.499, id="Aperio"),
        pytest.param({"description": "Aperio |MPP = 4.990e-01|Left = 3"}, 0.499, id="exponent"),
        pytest.param({"description": "Aperio |MPP = 0,4990|Left = 3"}, 0.499, id="comma"),
        pytest.param({"description": "MPP = unknown"}, None, id="Aperio without a number"),
        pytest.param(
            {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "um"}}, 0.5, id="ImageJ um"
        ),
        pytest.param(
            {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "\\u00B5m"}},
            0.5,
            id="ImageJ µm",
        ),
        pytest.param(
            {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "micron"}},
            0.25,
            id="ImageJ micron",
        ),
        pytest.param(
            {"imagej": True, "resolution": (2000, 2000), "metadata": {"unit": "mm"}},
            0.5,
            id="ImageJ mm",
        ),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_the_pixel_size_is_what_the_file_states_or_unknown(
    tmp_path: Path, rgb: NDArray[np.uint8], options: dict[str, Any], mpp: float | None
) -> None:
    photometric = {} if options.get("imagej") else {"photometric": "rgb"}
    source = written(tmp_path / "a.tif", rgb, **photometric, **options)
    assert source.mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-6))


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [
        (0.5, "µm", 0.5),
        (0.5, "\N{GREEK SMALL LETTER MU}m", 0.5),
        (500, "nm", 0.5),
        (0.0005, "mm", 0.5),
        (0.5, "pixel", None),
        (0.0, "µm", None),
    ],
)
def test_an_ome_pixel_size_is_read_in_its_unit(
    tmp_path: Path, rgb: NDArray[np.uint8], size: float, unit: str, mpp: float | None
) -> None:
    source = written(
        tmp_path / "a.ome.tif",
        rgb,
        photometric="rgb",
        metadata={
            "axes": "YXS",
            **{f"PhysicalSize{axis}": size for axis in "XY"},
            **{f"PhysicalSize{axis}Unit": unit for axis in "XY"},
        },
    )
    assert source.mpp == (None if mpp is None else pytest.approx(mpp))


def test_the_given_pixel_size_overrides_the_files(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", rgb, photometric="rgb", resolution=(20_000, 40_000), resolutionunit=3
    )
    with pytest.raises(PixelSizeError, match=r"pixels of 0\.25 x 0\.5 µm .*square ones"):
        open_image(tmp_path / "a.tif")
    assert open_image(tmp_path / "a.tif", mpp=0.3).mpp == 0.3


def test_an_absurd_pixel_size_in_the_file_is_refused(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        rgb,
        photometric="rgb",
        metadata={"axes": "YXS", "PhysicalSizeX": 300.0, "PhysicalSizeY": 300.0},
    )
    with pytest.raises(PixelSizeError, match=r"300 µm/px \(a\.ome\.tif\) is not plausible"):
        open_image(tmp_path / "a.ome.tif")


def test_many_threads_read_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    source = written(
        tmp_path / "a.tif", pixels, photometric="rgb", tile=(32, 32), compression="zlib"
    )
    wrong: list[Region] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(15):
            y, x = (int(n) for n in rng.integers(0, 180, 2))
            region = Region(y, x, 70, 60)
            if not np.array_equal(source.read(region), pixels[region.slices]):
                wrong.append(region)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_region_outside_is_refused_not_cut(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    source = written(tmp_path / "a.tif", rgb, photometric="rgb")
    with pytest.raises(RegionError, match=r"reaches outside level 0 of a\.tif"):
        source.read(Region(100, 100, 50, 50))


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((5, 130, 150, 3), {"photometric": "rgb"}, "holds 5 images"),
        ((3, 130, 150), {"photometric": "minisblack"}, "holds 3 images"),
        (
            (4, 130, 150),
            {"photometric": "minisblack", "metadata": {"axes": "TYX"}},
            "holds 4 images",
        ),
        ((130, 150), {"photometric": "minisblack"}, "has one channel"),
        ((130, 150, 4), {"photometric": "separated"}, "stores its colours as CMYK"),
    ],
)
def test_what_is_not_one_rgb_image_is_refused_with_words(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], words: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint8), **options)
    with pytest.raises(ImageError, match=rf"a\.tif {words}"):
        open_image(tmp_path / "a.tif")


def test_five_channels_are_refused_with_words(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.zeros((5, 40, 50), np.uint8),
        photometric="minisblack",
        metadata={"axes": "CYX"},
    )
    with pytest.raises(ImageError, match="has 5 channels"):
        open_image(tmp_path / "a.ome.tif")


def test_running_out_of_memory_is_not_taken_for_damage(
    tmp_path: Path, rgb: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "a.tif", rgb, photometric="rgb")

    class Full:
        def __getitem__(self, _: object) -> None:
            raise MemoryError

    monkeypatch.setattr(source, "_arrays", [Full()])
    with pytest.raises(MemoryError):
        all_of(source)


def test_a_blank_image_that_compresses_by_thousands_is_believed(tmp_path: Path) -> None:
    white = np.full((4096, 4096, 3), 255, np.uint8)
    source = written(
        tmp_path / "a.tif", white, photometric="rgb", tile=(1024, 1024), compression="zstd"
    )
    assert white.nbytes > 5_000 * (tmp_path / "a.tif").stat().st_size
    assert source.read(Region(4000, 4000, 5, 5)).min() == 255


def test_a_tiff_that_pillow_wrote_is_read(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.tif", compression="tiff_lzw", dpi=(96, 96))
    source = open_image(tmp_path / "a.tif")
    assert source.mpp is None
    assert np.array_equal(all_of(source), rgb)


def test_closing_frees_the_file(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    source = TiffSource(tmp_path / "a.tif")
    source.close()
    assert source._tif.filehandle.closed


@pytest.mark.data
def test_a_real_aperio_file_states_its_pixel_size_and_is_read(nucbudget_data: Path) -> None:
    source = open_image(nucbudget_data / "slides" / "CMU-1-Small-Region.svs")
    assert source.shape == (2967, 2220)
    assert source.mpp == pytest.approx(0.499)
    corner = source.read(Region(2900, 2150, 67, 70))
    assert corner.shape == (67, 70, 3)
    assert 150 < corner.mean() < 250


def test_an_ome_size_in_x_alone_counts_for_both_axes(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    source = written(
        tmp_path / "a.ome.tif",
        rgb,
        photometric="rgb",
        metadata={"axes": "YXS", "PhysicalSizeX": 500.0, "PhysicalSizeXUnit": "nm"},
    )
    assert source.mpp == pytest.approx(0.5)


def test_colours_under_further_axes_are_said_to_be_so(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", rgb[None], photometric="rgb")
    with pytest.raises(ImageError, match="colours under further axes"):
        open_image(tmp_path / "a.tif")
