"""Probabilities of other classes than the wanted ones do not go without a word."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.io.formats import read_points, write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import Nuclei

FILES = ["a.csv", "a.parquet", "a.geojson", "a.points.geojson", "a.coco.json"]
TWO = ClassScheme(DEFAULT_CLASSES.classes[:2])
FOUR = ClassScheme((*DEFAULT_CLASSES.classes, NucleusClass("tumour", "#fff")))
NUCLEI = Nuclei.from_points([[1, 2], [3, 4]], label=[0, 1], prob=[[0.5, 0.2, 0.3], [0.1, 0.7, 0.2]])


@pytest.fixture(params=FILES)
def path(request, tmp_path):
    return write_points(tmp_path / request.param, PointsFile(NUCLEI, 0.5, "a.png"))


def test_those_of_a_class_that_is_not_wanted_are_left_out_and_that_is_said(path):
    (points,) = read_points(path, classes=TWO)
    np.testing.assert_array_equal(points.nuclei.prob, NUCLEI.prob[:, :2])
    (remark,) = points.remarks
    assert "those of miscellaneous were left out" in remark


def test_a_class_without_any_is_said(path):
    (points,) = read_points(path, classes=FOUR)
    (remark,) = points.remarks
    if points.nuclei.prob is None:
        assert "left out: there is no column p_tumour" in remark
    else:
        np.testing.assert_array_equal(points.nuclei.prob[:, :3], NUCLEI.prob)
        assert remark.endswith("of other classes: there are none of tumour.")


def test_the_same_classes_in_another_order_need_no_word(path):
    (points,) = read_points(path, classes=ClassScheme(DEFAULT_CLASSES.classes[::-1]))
    np.testing.assert_array_equal(points.nuclei.prob, NUCLEI.prob[:, ::-1])
    assert points.remarks == ()


def test_those_of_none_of_the_wanted_classes_are_said(tmp_path):
    nuclei = Nuclei.from_points([[1, 2]], prob=[[0.5, 0.2, 0.3]])
    write_points(tmp_path / "a.csv", PointsFile(nuclei, 0.5, "a.png"))
    (points,) = read_points(tmp_path / "a.csv", classes=ClassScheme((NucleusClass("t", "#fff"),)))
    assert points.remarks == ("The probabilities were left out: there is no column p_t.",)


def test_another_programs_p_value_needs_no_word(tmp_path):
    (tmp_path / "a.csv").write_text("y,x,p_value\n1,2,0.01\n")
    (points,) = read_points(tmp_path / "a.csv")
    assert points.remarks == ()
