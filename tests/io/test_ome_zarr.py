"""OME-Zarr folders as slides, and how two of them are told apart."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, PixelSizeError, SlideGoneError, TileError
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.slides import open_slide, slide_fingerprint
from napari_nucbudget.types.image import Region


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    """(280, 320, 3): red grows with the rows, green with the columns."""
    rows, columns = np.indices((280, 320)) * 0.8
    return np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8)


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
