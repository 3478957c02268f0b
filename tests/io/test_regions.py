"""Drawn regions from files of QuPath and napari, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_nucbudget.errors import PointsError, RegionError
from napari_nucbudget.io.regions import read_regions

SHAPE = (100, 200)
SQUARE = [[10, 20], [30, 20], [30, 40], [10, 40], [10, 20]]
"""x, y of corners from the corner of the image, as in QuPath; 20 x 20 pixels."""


def feature(coordinates: Any, kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", **properties},
    }


def write(path: Path, features: Any) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_annotations_have_their_names_places_and_areas(tmp_path: Path) -> None:
    hole = [[15, 25], [20, 25], [20, 30], [15, 30], [15, 25]]
    far = [[[50, 50], [60, 50], [60, 60], [50, 50]]]
    path = write(
        tmp_path / "a.geojson",
        [
            feature([SQUARE], name="tumour"),
            feature([SQUARE, hole], classification={"name": "Stroma"}),
            feature([[SQUARE], far], "MultiPolygon"),
            feature([SQUARE], name="tumour"),
            feature([12, 12], "Point"),
            feature([SQUARE], objectType="cell"),
        ],
    )
    regions = read_regions(path, SHAPE)
    assert list(regions) == ["tumour", "Stroma", "region 3", "tumour (2)"]
    assert [region.area for region in regions.values()] == [400, 375, 450, 400]
    # Pixel (20, 10) is the first of the square: its centre lies half a pixel inside.
    inside = regions["tumour"].contains(np.array([[20, 10], [19, 10], [39, 29], [40, 29]]))
    np.testing.assert_array_equal(inside, [True, False, True, False])


def test_classes_name_regions_however_they_are_spelt(tmp_path: Path) -> None:
    spelt = [{"name": "Stroma"}, {"names": ["Tumor", "In"]}, "Necrosis", {}, None]
    features = [feature([SQUARE], classification=each) for each in spelt]
    regions = read_regions(write(tmp_path / "a.geojson", features), SHAPE)
    assert list(regions) == ["Stroma", "Tumor: In", "Necrosis", "region 4", "region 5"]


def test_one_feature_and_a_bare_list_are_read(tmp_path: Path) -> None:
    for content in (feature([SQUARE], name="a"), [feature([SQUARE], name="a")]):
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert list(read_regions(tmp_path / "a.json", SHAPE)) == ["a"]


def test_no_region_is_called_as_the_whole_tissue(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", [feature([SQUARE], name="tissue")])
    assert list(read_regions(path, SHAPE)) == ["tissue (2)"]


def test_shapes_that_napari_saved_are_read(tmp_path: Path) -> None:
    rows = ["index,shape-type,vertex-index,axis-0,axis-1"]
    shapes = {
        "rectangle": [(10, 20), (10, 60), (30, 60), (30, 20)],
        "line": [(0, 0), (9, 9)],
        "ellipse": [(10, 20), (10, 60), (30, 60), (30, 20)],
    }
    for index, (kind, corners) in enumerate(shapes.items()):
        rows += [f"{index}.0,{kind},{i}.0,{y},{x}" for i, (y, x) in enumerate(corners)]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    rectangle, ellipse = read_regions(tmp_path / "a.csv", SHAPE).values()
    assert rectangle.area == 800
    assert ellipse.area == pytest.approx(np.pi * 10 * 20, rel=0.01)
    np.testing.assert_array_equal(ellipse.contains(np.array([[20, 40], [11, 21]])), [True, False])


def test_shapes_of_a_layer_are_read_as_napari_itself_writes_them(tmp_path: Path) -> None:
    builtins = pytest.importorskip("napari_builtins.io")
    corners = np.array([(10, 20), (10, 60), (30, 60)], float)
    path = tmp_path / "shapes.csv"
    builtins.napari_write_shapes(str(path), [corners], {"shape_type": ["polygon"]})
    (region,) = read_regions(path, SHAPE).values()
    assert region.area == 400


@pytest.mark.parametrize(
    ("features", "error", "words"),
    [
        ([], RegionError, "holds no region"),
        ([feature([3, 3], "Point")], RegionError, "holds no region"),
        ([feature([[[0, 0], [9, 9], [9, 0], [0, 9]]], name="b")], RegionError, "crosses itself"),
        ([feature([[[0, 0], [9, 9]]], name="b")], RegionError, "'b' is none: .* 3 corners"),
        ([feature([[[0, 0], [5, 0], [9, 0]]], name="b")], RegionError, "'b' has no area"),
        ([feature([[[x + 900, y] for x, y in SQUARE]])], RegionError, "lies beside the slide"),
        ([feature([[["a", 0], [5, 0], [9, 9]]])], PointsError, "no GeoJSON"),
        ([feature([[]], name="b")], RegionError, "'b' is none: .* 3 corners"),
        ([feature([], "MultiPolygon")], PointsError, "no GeoJSON"),
        (["text"], PointsError, "no GeoJSON"),
        ([{"type": "Feature", "geometry": None}], RegionError, "holds no region"),
    ],
)
def test_bad_regions_are_refused_with_words(
    tmp_path: Path, features: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_regions(write(tmp_path / "bad.geojson", features), SHAPE)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.geojson", '{"features": [', "not JSON, or was cut short"),
        ("a.geojson", '{"a": 1}', "no list of features"),
        ("a.csv", "y,x\n1,2\n", "no table of shapes"),
        ("a.csv", "index,shape-type,vertex-index,axis-0,axis-1\n0,polygon,0,a,b\n", "is damaged"),
        ("a.csv", "index,shape-type,vertex-index,axis-0,axis-1\n0,polygon\n", "is damaged"),
    ],
)
def test_damaged_files_are_refused_with_words(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(PointsError, match=words):
        read_regions(tmp_path / name, SHAPE)


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    for name in ("none.geojson", "none.csv"):
        with pytest.raises(PointsError, match="cannot be opened"):
            read_regions(tmp_path / name, SHAPE)


def test_annotations_inside_annotations_are_regions_too(tmp_path: Path) -> None:
    inner = feature([[[15, 25], [20, 25], [20, 30], [15, 30], [15, 25]]], name="nest")
    outer = feature([SQUARE], name="tumour", childObjects=[inner])
    nowhere = {"type": "Feature", "geometry": None, "properties": {"name": "nothing"}}
    regions = read_regions(write(tmp_path / "a.geojson", [outer, nowhere]), SHAPE)
    assert list(regions) == ["tumour", "nest"]
