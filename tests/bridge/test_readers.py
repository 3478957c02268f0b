from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.bridge.readers import METADATA, get_reader, read_layers
from napari_nucbudget.io.formats import write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.nuclei import Nuclei

NUCLEI = Nuclei.from_points([[3, 7], [4, 8]], label=[0, -1], score=[1, 0.5], origin="fcn")


@pytest.mark.parametrize("suffix", [".nuclei.csv", ".nuclei.geojson", ".nuclei.parquet"])
def test_a_file_is_a_points_layer_in_the_look_of_the_plugin(tmp_path, suffix):
    path = write_points(tmp_path / f"a{suffix}", PointsFile(NUCLEI, 0.25, "a.svs"))
    reader = get_reader(str(path))
    ((data, arguments, kind),) = reader(str(path))
    assert kind == "points"
    np.testing.assert_array_equal(data, NUCLEI.yx)
    assert arguments["name"] == "a"
    assert arguments["scale"] == (0.25, 0.25)
    assert arguments["units"] == ("µm", "µm")
    assert arguments["face_color"] == ["#00e5ff", "#00e5ff"]
    assert list(arguments["features"]["label"]) == ["epithelial", "unlabelled"]
    assert arguments["metadata"][METADATA]["classes"] == DEFAULT_CLASSES


def test_a_file_without_pixel_size_stays_in_pixels(tmp_path):
    path = write_points(tmp_path / "a.nuclei.csv", PointsFile(NUCLEI))
    ((_, arguments, _),) = read_layers(path)
    assert "scale" not in arguments


@pytest.mark.parametrize("path", ["a.csv", "a.geojson", ["a.nuclei.csv", "b.csv"], []])
def test_other_files_are_left_to_other_readers(path):
    assert get_reader(path) is None


def test_several_files_are_several_layers(tmp_path):
    paths = [write_points(tmp_path / f"{n}.nuclei.csv", PointsFile(NUCLEI)) for n in "ab"]
    assert [arguments["name"] for _, arguments, _ in get_reader(paths)(paths)] == ["a", "b"]


def test_what_a_file_has_otherwise_is_shown_as_a_warning(tmp_path):
    path = tmp_path / "a.nuclei.csv"
    path.write_text("y,x\n-9,1\n")
    with pytest.warns(UserWarning, match="a.nuclei.csv: 1 of 1 nuclei lie outside"):
        read_layers(path)
