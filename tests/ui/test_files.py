"""Opening and saving nuclei through napari itself."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Points

from napari_nucbudget.io.formats import read_points, write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.nuclei import Nuclei

NUCLEI = Nuclei.from_points(
    [[3, 7.5], [40, 20]],
    label=[2, 0],
    score=[1, 0.5],
    origin=["human", "fcn"],
    id=[7, 3],
    prob=[[0, 0, 1], [0.5, 0.25, 0.25]],
)


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.mark.parametrize("suffix", [".nuclei.csv", ".nuclei.geojson", ".nuclei.parquet"])
def test_a_file_is_opened_edited_and_saved_through_napari(viewer, tmp_path, suffix):
    path = write_points(tmp_path / f"a{suffix}", PointsFile(NUCLEI, 0.25, "a.svs"))
    (layer,) = viewer.open(path, plugin="napari-nucbudget")
    assert isinstance(layer, Points)
    np.testing.assert_array_equal(layer.scale, [0.25, 0.25])
    layer.data = layer.data + 1

    saved = tmp_path / f"b{suffix}"
    assert layer.save(str(saved), plugin="napari-nucbudget") == [str(saved)]
    (back,) = read_points(saved)
    np.testing.assert_array_equal(back.nuclei.yx, NUCLEI.yx + 1)
    np.testing.assert_array_equal(back.nuclei.prob, NUCLEI.prob)
    assert list(back.nuclei.id) == [7, 3]
    assert (back.mpp, back.image) == (0.25, "a.svs")


def test_our_suffixes_need_no_plugin_name_and_other_tables_stay_with_napari(viewer, tmp_path):
    points = viewer.add_points(np.array([[1.0, 2.0]]), name="spots")
    for name in ("a.nuclei.csv", "a.nuclei.geojson"):
        with pytest.warns(UserWarning, match="spots: The layer has no ids"):
            points.save(str(tmp_path / name))
        assert len(read_points(tmp_path / name)) == 1
    points.save(str(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_text().startswith("index,axis-0")
    # As when it is dropped into the window; of a .csv napari asks, since it reads those itself.
    (layer,) = viewer.open(tmp_path / "a.nuclei.geojson", plugin=None)
    np.testing.assert_array_equal(layer.data, [[1, 2]])
