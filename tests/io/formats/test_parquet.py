"""Parquet is read as the CSV of the same columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_nucbudget.errors import PointsError
from napari_nucbudget.io.formats import read_points

TYPED = {"y": [1.0, 2], "x": [3.0, 4], "p_epithelial": [0.5, 0.1], "p_inflammatory": [0.5, 0.9]}


@pytest.fixture
def both(tmp_path):
    """The points of one table, as CSV and as parquet."""

    def call(columns):
        frame = pd.DataFrame(columns)
        frame.to_csv(tmp_path / "a.csv", index=False)
        frame.to_parquet(tmp_path / "a.parquet")
        return read_points(tmp_path / "a.csv"), read_points(tmp_path / "a.parquet")

    return call


def test_a_column_class_serves_where_there_is_no_label(both):
    for found in both({"y": [1, 2], "x": [3, 4], "class": ["inflammatory", None]}):
        assert list(found[0].nuclei.label) == [1, -1]


def test_a_column_image_makes_one_table_an_image(both):
    for found in both({"image": ["b", "a", "b"], "y": [1, 2, 3], "x": [4, 5, 6]}):
        assert [points.image for points in found] == ["b", "a"]
        np.testing.assert_array_equal(found[0].nuclei.yx, [[1, 4], [3, 6]])


def test_rows_of_no_image_are_kept(both):
    for found in both({"image": ["a", None], "y": [1, 2], "x": [4, 5]}):
        assert [(points.image, len(points.nuclei)) for points in found] == [("a", 1), ("", 1)]


def test_incomplete_probabilities_are_left_out_and_that_is_said(both):
    for found in both(TYPED):
        assert found[0].nuclei.prob is None
        assert "no column p_miscellaneous" in found[0].remarks[0]


def test_a_column_of_categories_is_read(tmp_path):
    label = pd.Categorical(["inflammatory", None])
    frame = pd.DataFrame({"y": [1, 2], "x": [3, 4], "label": label, "origin": label})
    frame.to_parquet(tmp_path / "a.parquet")
    (points,) = read_points(tmp_path / "a.parquet")
    assert list(points.nuclei.label) == [1, -1]
    assert list(points.nuclei.origin) == ["inflammatory", "human"]


def test_a_probability_that_is_no_number_is_refused_with_the_files_name(tmp_path):
    pd.DataFrame({**TYPED, "p_miscellaneous": ["a", "b"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(PointsError, match=r"a\.parquet is not a table of points"):
        read_points(tmp_path / "a.parquet")
