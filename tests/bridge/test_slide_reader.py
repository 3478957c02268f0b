"""Slides and TIFFs as napari layers, without a window."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_nucbudget.bridge.layers import image_source
from napari_nucbudget.bridge.slide_reader import get_slide_reader, read_slide
from napari_nucbudget.errors import ImageError
from napari_nucbudget.io.samples import sample_path
from napari_nucbudget.types.image import Region

RGB = np.random.default_rng(0).integers(0, 256, (120, 140, 3), dtype=np.uint8)


def tiff(path: Path, pixels: NDArray[Any] = RGB, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **{"photometric": "rgb", **options})
    return path


def test_a_plain_tiff_keeps_its_pixel_size(tmp_path: Path) -> None:
    path = tiff(tmp_path / "he.tif", resolution=(20_000, 20_000), resolutionunit=3)
    reader = get_slide_reader(str(path))
    assert reader is not None
    ((pixels, arguments, kind),) = reader(str(path))
    assert (kind, arguments["rgb"], arguments["multiscale"]) == ("image", True, False)
    assert arguments["scale"] == pytest.approx((0.5, 0.5))
    assert arguments["units"] == ("µm", "µm")
    np.testing.assert_array_equal(np.asarray(pixels), RGB)


def test_a_tiff_without_a_pixel_size_gets_none(tmp_path: Path) -> None:
    arguments = read_slide(tiff(tmp_path / "he.tif"))[0][1]
    assert not {"scale", "units"} & set(arguments)


def test_a_pyramid_is_multiscale_and_stays_readable() -> None:
    levels, arguments, _ = read_slide(sample_path("drawn_biopsy.ome.tif"))[0]
    gc.collect()
    assert [level.shape for level in levels] == [(2048, 2048, 3), (1024, 1024, 3), (512, 512, 3)]
    assert (arguments["name"], arguments["multiscale"]) == ("drawn_biopsy", True)
    assert np.asarray(levels[0][2000:, 2000:]).shape == (48, 48, 3)


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (RGB, {"rowsperstrip": 16}),
        (np.moveaxis(RGB, -1, 0), {"planarconfig": "separate"}),
        (RGB.astype(np.uint16) * 257, {"tile": (32, 32)}),
        (np.dstack([RGB, RGB[..., :1]]), {"extrasamples": ["unassalpha"], "tile": (32, 32)}),
    ],
    ids=["strips", "planes", "16 bit", "alpha"],
)
def test_every_layout_is_shown_as_8_bit_colours(
    tmp_path: Path, pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    data = read_slide(tiff(tmp_path / "a.tif", pixels, **options))[0][0]
    gc.collect()
    np.testing.assert_array_equal(np.asarray(data), RGB)


def test_levels_that_a_large_slide_lacks_are_made_by_averaging(tmp_path: Path) -> None:
    pixels = np.repeat(np.repeat(RGB[:20, :80], 64, 0), 64, 1)  # 1280 x 5120, flat squares
    path = tiff(tmp_path / "flat.tif", pixels, tile=(256, 256), compression="zlib")
    levels, arguments, _ = read_slide(path)[0]
    assert arguments["multiscale"]
    assert [level.shape for level in levels] == [(1280, 5120, 3), (320, 1280, 3)]
    np.testing.assert_array_equal(np.asarray(levels[1]), pixels[::4, ::4])


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (np.zeros((120, 140), np.uint8), {"photometric": "minisblack"}),
        (np.zeros((5, 120, 140), np.uint16), {"photometric": "minisblack"}),
        (np.zeros((4, 120, 140, 3), np.uint8), {}),
    ],
    ids=["one channel", "stack", "colour stack"],
)
def test_tiffs_that_are_no_slides_are_left_to_other_readers(
    tmp_path: Path, pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    assert get_slide_reader(tiff(tmp_path / "a.tif", pixels, **options)) is None


def test_what_is_no_tiff_and_lists_of_files_are_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"text")
    path = tiff(tmp_path / "b.tif")
    assert get_slide_reader(tmp_path / "a.tif") is None
    assert get_slide_reader([path, path]) is None
    assert get_slide_reader([path]) is read_slide
    assert get_slide_reader(tmp_path / "absent.tif") is None


def test_a_damaged_slide_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.svs", tile=(32, 32))
    path.write_bytes(path.read_bytes()[:-5000])
    reader = get_slide_reader(path)
    assert reader is not None
    with pytest.raises(ImageError, match=r"a\.svs is (truncated|damaged)|claims"):
        reader(path)


def test_pixels_that_are_not_square_are_shown_without_a_pixel_size_and_told(
    tmp_path: Path,
) -> None:
    path = tiff(tmp_path / "a.tif", resolution=(20_000, 40_000), resolutionunit=3)
    assert get_slide_reader(path) is read_slide
    with pytest.warns(UserWarning, match="square ones are needed.*without a pixel size"):
        arguments = read_slide(path)[0][1]
    assert "scale" not in arguments


def test_a_layer_is_detected_on_with_the_slides_pixels_and_pixel_size() -> None:
    layers = pytest.importorskip("napari.layers", reason="napari (extra 'gui') is not installed")
    data, arguments, _ = read_slide(sample_path("drawn_biopsy.ome.tif"))[0]
    layer = layers.Image(data, **arguments)
    source = image_source(layer)
    assert source.mpp == pytest.approx(0.5)
    assert len(source.levels) == 3
    region = Region(100, 200, 50, 60)
    np.testing.assert_array_equal(source.read(region), data[0][100:150, 200:260])
