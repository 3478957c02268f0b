"""PNG and JPEG: what is read, and what is refused in which words."""

from __future__ import annotations

import struct
import threading
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_nucbudget.errors import ImageError, PixelSizeError
from napari_nucbudget.io.images import open_image
from napari_nucbudget.types.image import ImageSource, Region


def all_of(source: ImageSource) -> NDArray[np.uint8]:
    return source.read(Region.whole(source.shape))


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def png_that_claims(path: Path, width: int, height: int) -> Path:
    """A whole PNG of one pixel whose header says something else."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_a_png_gives_its_pixels_back(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    source = open_image(tmp_path / "a.png")
    assert (source.name, source.shape, source.mpp) == ("a.png", (40, 50), None)
    assert np.array_equal(all_of(source), rgb)


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (200, 120, 180)).save(tmp_path / "a.jpg")
    assert np.abs(all_of(open_image(tmp_path / "a.jpg")).astype(int) - (200, 120, 180)).max() < 4


def test_the_alpha_of_a_png_is_dropped_not_blended(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    alpha = np.full((40, 50, 1), 30, np.uint8)
    Image.fromarray(np.concatenate([rgb, alpha], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(all_of(open_image(tmp_path / "a.png")), rgb)


@pytest.mark.parametrize("transparency", [None, b"\x00\x80\xff"])
def test_a_palette_png_is_read_in_its_colours(tmp_path: Path, transparency: bytes | None) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    options = {} if transparency is None else {"transparency": transparency}
    picture.save(tmp_path / "a.png", **options)
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert all_of(open_image(tmp_path / "a.png"))[0].tolist() == expected


def test_a_cmyk_jpeg_is_refused_not_taken_for_rgba(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="colour space CMYK, not RGB"):
        open_image(tmp_path / "a.jpg")


def test_what_a_file_is_follows_from_its_bytes_not_its_name(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    assert np.array_equal(all_of(open_image(tmp_path / "a.tif")), rgb)


def colours() -> list[Image.Image]:
    return [Image.new("RGB", (30, 20), colour) for colour in ("red", "green", "blue")]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_several_images_in_one_file_are_refused(tmp_path: Path, name: str) -> None:
    first, *others = colours()
    first.save(tmp_path / name, save_all=True, append_images=others)
    with pytest.raises(ImageError, match="holds 3 images, and one is needed"):
        open_image(tmp_path / name)


def test_previews_behind_the_image_of_a_jpeg_are_passed_over(tmp_path: Path) -> None:
    first, *others = colours()
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=others)
    assert np.abs(all_of(open_image(tmp_path / "a.jpg")).astype(int) - (255, 0, 0)).max() < 4


def test_a_1_by_1_image_is_an_image(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "a.png")
    assert all_of(open_image(tmp_path / "a.png")).tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "LA"])
def test_a_grey_image_is_refused_with_words(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png has one channel.*colour original"):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_file_is_refused(
    tmp_path: Path, rgb: NDArray[np.uint8], suffix: str, part: float
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(rgb).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageError, match=r"is damaged or truncated"):
        open_image(path)


def test_a_png_with_a_flipped_byte_is_refused(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(rgb).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ImageError, match="is damaged or truncated"):
        open_image(path)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "svs"])
def test_a_zero_byte_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.touch()
    with pytest.raises(ImageError, match=r"is empty \(0 bytes\)"):
        open_image(path)


@pytest.mark.parametrize("suffix", ["png", "tif", "txt"])
def test_text_is_not_an_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(ImageError, match="is not an image that can be read here"):
        open_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.png cannot be opened: No such file"):
        open_image(tmp_path / "absent.png")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder; give an image file"):
        open_image(tmp_path)


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="cannot be opened: Not a directory"):
        open_image(tmp_path / "file" / "a.png")


@pytest.mark.parametrize("size", [(200_000, 200_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_a_png_that_claims_an_enormous_size_is_refused_before_anything_is_allocated(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = png_that_claims(tmp_path / "bomb.png", *size)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"bomb\.png claims .* pixels in \d+ bytes"):
            open_image(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mpp", [0.0, -0.5, 1000.0, float("nan")])
def test_an_absurd_pixel_size_is_refused(
    tmp_path: Path, rgb: NDArray[np.uint8], mpp: float
) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    with pytest.raises(PixelSizeError, match=r"is not plausible for tissue: expected 0\.05 to 10"):
        open_image(tmp_path / "a.png", mpp=mpp)


def test_files_opened_in_many_threads_leave_pillows_limit_as_it_was(
    tmp_path: Path, rgb: NDArray[np.uint8]
) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    limit = Image.MAX_IMAGE_PIXELS
    threads = [
        threading.Thread(target=lambda: [open_image(tmp_path / "a.png") for _ in range(10)])
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS
