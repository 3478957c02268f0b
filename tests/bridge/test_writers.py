"""Layers to files: what ours hold comes back, what others lack is said."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.bridge.readers import file_layer, read_layers
from napari_nucbudget.bridge.writers import layer_points, write_layer
from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

layers = pytest.importorskip("napari.layers", reason="napari (extra 'gui') is not installed")

SCHEME = ClassScheme((NucleusClass("tumour, 'T'", "#ff0000", "T"), NucleusClass("other", "#0f0")))
NUCLEI = Nuclei.from_points(
    [[3, 7.25], [4, 8], [5, 5]],
    label=[0, -1, 1],
    score=[1, 0.5, 0.25],
    origin=["human", "fcn", "fcn"],
    id=[30, 10, 20],
    prob=[[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]],
    classes=SCHEME,
)
POINTS = PointsFile(NUCLEI, 0.25, "a.svs", (99, 99), (Region(1, 2, 3, 4),))


def layer_of(points=POINTS):
    data, arguments, _ = file_layer(points, name="a")
    return layers.Points(data, **arguments)


def written(layer):
    data, attributes, _ = layer.as_layer_data_tuple()
    return layer_points(data, attributes)


def assert_same(back, nuclei):
    for column in ("yx", "score", "label", "id", "prob"):
        np.testing.assert_array_equal(getattr(back, column), getattr(nuclei, column))
    assert list(back.origin) == list(nuclei.origin)
    assert back.classes == nuclei.classes


@pytest.mark.parametrize("suffix", [".nuclei.csv", ".nuclei.geojson", ".nuclei.parquet"])
def test_a_layer_of_ours_loses_nothing_through_a_file_and_back(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    data, attributes, _ = layer_of().as_layer_data_tuple()
    assert write_layer(str(path), data, attributes) == [str(path)]
    ((data, arguments, _),) = read_layers(path)
    back = written(layers.Points(data, **arguments))
    assert_same(back.nuclei, NUCLEI)
    assert (back.mpp, back.image, back.shape, back.fields) == (
        0.25,
        "a.svs",
        (99, 99),
        POINTS.fields,
    )
    assert back.remarks == ()


def test_a_point_that_was_added_by_hand_is_a_new_human_dot():
    layer = layer_of()
    layer.add([9, 9])
    back = written(layer)
    assert_same(back.nuclei.select(np.arange(3)), NUCLEI)
    assert list(back.nuclei.id) == [30, 10, 20, 31]
    last = back.nuclei.select(np.array([3]))
    assert (last.origin[0], last.score[0], last.label[0]) == ("human", 1, -1)
    assert np.isnan(last.prob).all()
    assert back.remarks[0].startswith("1 points were added by hand")


def test_points_that_were_moved_or_deleted_are_as_they_are_now():
    layer = layer_of()
    layer.data = np.array([[1.0, 1.0], [4, 8], [5, 5]])
    layer.selected_data = {1}
    layer.remove_selected()
    back = written(layer).nuclei
    np.testing.assert_array_equal(back.yx, [[1, 1], [5, 5]])
    assert list(back.id) == [30, 20]


def test_what_a_layer_of_another_plugin_lacks_is_said():
    back = written(layers.Points([[1, 2], [3, 4]], name="spots"))
    assert list(back.nuclei.id) == [0, 1]
    assert list(back.nuclei.score) == [1, 1]
    first, second = back.remarks
    for word in ("ids", "scores", "origins", "classes"):
        assert word in first
    assert "no pixel size" in second


def test_classes_and_colours_of_another_plugin_are_kept():
    layer = layers.Points(
        [[1, 2], [3, 4], [5, 6]],
        features={"class": ["B cell", "T cell", None]},
        face_color=["#ff0000", "#0000ff", "#00ff00"],
    )
    nuclei = written(layer).nuclei
    assert [(c.name, c.color) for c in nuclei.classes.classes] == [
        ("B cell", "#ff0000"),
        ("T cell", "#0000ff"),
    ]
    assert list(nuclei.label) == [0, 1, -1]


def test_odd_columns_of_another_plugin_are_said_not_trusted():
    features = {"id": [4, 4], "score": [17.0, np.nan], "p": [0, 1]}
    back = written(layers.Points([[1, 2], [3, 4]], features=features))
    assert list(back.nuclei.id) == [0, 1]
    assert list(back.nuclei.score) == [1, 1]
    said = " ".join(back.remarks)
    assert "ids of the layer are doubled or missing" in said
    assert "1 scores lie outside 0 .. 1" in said


@pytest.mark.parametrize(
    ("scale", "units", "mpp"),
    [((0.5, 0.5), ("µm", "µm"), 0.5), ((250, 250), ("nm", "nm"), 0.25), ((2, 2), None, None)],
)
def test_the_pixel_size_is_that_of_scale_and_units(scale, units, mpp):
    back = written(layers.Points([[1, 2]], scale=scale, units=units))
    assert back.mpp == (None if mpp is None else pytest.approx(mpp))
    np.testing.assert_array_equal(back.nuclei.yx, [[1, 2]])
    assert ("scaled or moved without a unit" in " ".join(back.remarks)) == (mpp is None)


def test_points_of_one_plane_of_a_stack_are_written():
    back = written(layers.Points([[4, 1, 2], [4, 3, 4]]))
    np.testing.assert_array_equal(back.nuclei.yx, [[1, 2], [3, 4]])
    assert "plane [4.0], which is not kept" in " ".join(back.remarks)


def test_points_of_several_planes_are_refused():
    with pytest.raises(OutputError, match="lie in 2 planes"):
        written(layers.Points([[4, 1, 2], [5, 3, 4]]))


def test_an_empty_layer_makes_an_empty_file(tmp_path):
    data, attributes, _ = layers.Points(ndim=2).as_layer_data_tuple()
    with pytest.warns(UserWarning, match="a: The layer|The layer has no pixel size"):
        (path,) = write_layer(str(tmp_path / "e.nuclei.csv"), data, attributes)
    (back,) = read_points(path)
    assert len(back.nuclei) == 0
