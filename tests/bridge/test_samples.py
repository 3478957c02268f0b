"""What File > Open Sample gives the viewer."""

from __future__ import annotations

import gc
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_nucbudget.bridge.samples import cmu_slide, drawn_biopsy, skin
from napari_nucbudget.errors import DownloadError
from napari_nucbudget.io import downloads
from napari_nucbudget.io.downloads import RemoteFile
from napari_nucbudget.io.formats.csv import read_points_csv
from napari_nucbudget.io.samples import sample_path, write


def served(path: Path, name: str) -> RemoteFile:
    """A remote file whose server is a local folder."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return RemoteFile(name, path.as_uri(), digest, source="here")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUCBUDGET_CACHE", str(tmp_path / "cache"))


def test_the_biopsy_is_a_pyramid_in_micrometres() -> None:
    levels, arguments, kind = drawn_biopsy()[0]
    assert kind == "image"
    assert [level.shape for level in levels] == [(2048, 2048, 3), (1024, 1024, 3), (512, 512, 3)]
    assert (arguments["rgb"], arguments["multiscale"]) == (True, True)
    assert (arguments["scale"], arguments["units"]) == ((0.5, 0.5), ("µm", "µm"))


def test_levels_stay_readable_for_as_long_as_they_are_used() -> None:
    levels = drawn_biopsy()[0][0]
    gc.collect()
    assert np.asarray(levels[0][2000:, 2000:]).shape == (48, 48, 3)


def test_the_truth_lies_on_the_biopsy_and_is_hidden_at_first() -> None:
    image, points = drawn_biopsy()
    data, arguments, kind = points
    assert kind == "points"
    assert arguments["visible"] is False
    assert (arguments["scale"], arguments["units"]) == (image[1]["scale"], image[1]["units"])
    truth = read_points_csv(sample_path("drawn_biopsy.truth.csv")).nuclei
    np.testing.assert_array_equal(data, truth.yx)
    assert set(arguments["features"]["label"]) == set(truth.classes.names)


def test_the_skin_has_no_pixel_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "plum").save(tmp_path / "here.jpg")
    monkeypatch.setattr(downloads, "SKIN", served(tmp_path / "here.jpg", "skin.jpg"))
    ((pixels, arguments, kind),) = skin()
    assert (pixels.shape, pixels.dtype, kind) == ((48, 64, 3), np.uint8, "image")
    assert not {"scale", "units"} & set(arguments)


def test_a_slide_of_one_level_is_no_pyramid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rgb = np.full((300, 200, 3), 230, np.uint8)
    (tmp_path / "here.tif").write_bytes(write.pyramid(rgb, mpp=0.499, name="one level"))
    monkeypatch.setattr(downloads, "CMU_SLIDE", served(tmp_path / "here.tif", "slide.svs"))
    ((pixels, arguments, kind),) = cmu_slide()
    assert (pixels.shape, kind, arguments["multiscale"]) == ((300, 200, 3), "image", False)
    assert arguments["scale"] == pytest.approx((0.499, 0.499))


@pytest.mark.parametrize(("command", "name"), [(skin, "SKIN"), (cmu_slide, "CMU_SLIDE")])
def test_without_a_network_the_error_is_ours(
    command: object, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = RemoteFile("x", (tmp_path / "absent").as_uri(), "0" * 64, source="here")
    monkeypatch.setattr(downloads, name, absent)
    assert callable(command)
    with pytest.raises(DownloadError, match="could not be fetched"):
        command()
