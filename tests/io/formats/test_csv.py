from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_nucbudget.errors import OutputError, PointsError
from napari_nucbudget.io.formats.csv import read_points_csv, write_points_csv
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import Nuclei


@given(
    yx=arrays(
        np.float32, st.tuples(st.integers(0, 20), st.just(2)), elements=st.floats(0, 1e5, width=32)
    ),
    data=st.data(),
)
def test_a_round_trip_loses_nothing(tmp_path_factory, yx, data):
    path = tmp_path_factory.mktemp("csv") / "a.nuclei.csv"
    n = len(yx)
    nuclei = Nuclei.from_points(
        yx,
        score=data.draw(arrays(np.float32, n, elements=st.floats(0, 1, width=32))),
        label=data.draw(arrays(np.int16, n, elements=st.integers(-1, 2))),
        origin=[data.draw(st.sampled_from(["human", "nuclei-fcn"])) for _ in range(n)],
    )
    write_points_csv(path, nuclei, mpp=0.2513, image="slide, 1.svs")
    back = read_points_csv(path)
    assert (back.mpp, back.image) == (0.2513, "slide, 1.svs")
    for column in ("yx", "score", "label", "id"):
        np.testing.assert_array_equal(getattr(back.nuclei, column), getattr(nuclei, column))
    assert list(back.nuclei.origin) == list(nuclei.origin)


def test_class_names_with_commas_quotes_and_newlines_survive(tmp_path):
    classes = ClassScheme(tuple(NucleusClass(n, "#fff") for n in ('a, "b"', "c\nd", "#e")))
    nuclei = Nuclei.from_points([[1, 2], [3, 4], [5, 6]], label=[0, 1, 2], classes=classes)
    back = read_points_csv(write_points_csv(tmp_path / "p.csv", nuclei, mpp=0.5, image="i"))
    assert back.nuclei.classes == classes
    assert list(back.nuclei.label) == [0, 1, 2]


def test_probabilities_come_back(tmp_path):
    prob = np.array([[0.2, 0.3, 0.5]], np.float32)
    nuclei = Nuclei.from_points([[1, 2]], label=[2], prob=prob)
    back = read_points_csv(write_points_csv(tmp_path / "p.csv", nuclei, mpp=0.5, image="i"))
    np.testing.assert_array_equal(back.nuclei.prob, prob)


def test_a_plain_table_of_y_and_x_is_read(tmp_path):
    (tmp_path / "p.csv").write_text("x,y\n3,4\n")
    back = read_points_csv(tmp_path / "p.csv")
    assert back.mpp is None
    np.testing.assert_array_equal(back.nuclei.yx, [[4, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column 'y' or 'x'; its columns are"),
        ("y,x\n1,two\n", "not a number"),
        ("y,x\n1,\n", "1 of 1 nuclei have coordinates that are not numbers"),
        ("y,x,label\n1,2,epithelia\n", "Did you mean 'epithelial'"),
        ("# nucbudget points, version 99\ny,x\n", "version 99 of the points format"),
        ("", "not a table of points"),
        ("# mpp: wide\ny,x\n1,2\n", "not a table of points"),
    ],
)
def test_a_wrong_table_is_refused_in_words(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(PointsError, match=message):
        read_points_csv(path)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(PointsError, match="not a text file"):
        read_points_csv(tmp_path / "p.csv")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(PointsError, match="cannot be opened"):
        read_points_csv(tmp_path / "none.csv")


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_points_csv(tmp_path / "file" / "p.csv", Nuclei.empty(), mpp=0.5, image="i")


def test_a_class_may_be_called_na_and_hold_a_carriage_return(tmp_path):
    classes = ClassScheme(tuple(NucleusClass(n, "#fff") for n in ("NA", "a\rb", "x\u2028y", "1")))
    nuclei = Nuclei.from_points(np.zeros((4, 2)), label=[0, 1, 2, 3], classes=classes)
    back = read_points_csv(write_points_csv(tmp_path / "p.csv", nuclei, mpp=None, image="i"))
    assert back.nuclei.classes == classes
    assert list(back.nuclei.label) == [0, 1, 2, 3]
    assert back.mpp is None


def test_a_table_that_lost_rows_is_noticed(tmp_path):
    path = write_points_csv(tmp_path / "p.csv", Nuclei.from_points(np.eye(2)), mpp=0.5, image="i")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    (remark,) = read_points_csv(path).remarks
    assert "The header counts 2 nuclei, the table holds 1" in remark


def test_a_table_of_a_spreadsheet_in_another_encoding_says_what_to_do(tmp_path):
    (tmp_path / "p.csv").write_bytes("y,x,label\n1,2,épithélial\n".encode("cp1252"))
    with pytest.raises(PointsError, match="Save it as 'CSV UTF-8'"):
        read_points_csv(tmp_path / "p.csv")


def test_the_mark_at_the_start_of_windows_files_is_skipped(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbfy,x\r\n1,2\r\n")
    np.testing.assert_array_equal(read_points_csv(tmp_path / "p.csv").nuclei.yx, [[1, 2]])


def test_negative_coordinates_are_kept_and_said(tmp_path):
    (tmp_path / "p.csv").write_text("y,x\n-3,2\n-0.5,0\n")
    back = read_points_csv(tmp_path / "p.csv")
    assert len(back.nuclei) == 2
    assert "1 of 2 nuclei lie outside the image, the first at x=2, y=-3" in back.remarks[0]


def test_an_id_that_is_given_twice_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("id,y,x\n1,1,1\n1,2,2\n")
    with pytest.raises(PointsError, match="Two nuclei have the same id"):
        read_points_csv(tmp_path / "p.csv")


def test_other_classes_can_be_given(tmp_path):
    (tmp_path / "p.csv").write_text("y,x,label\n1,2,tumour\n")
    classes = ClassScheme((NucleusClass("stroma", "#fff"), NucleusClass("tumour", "#000")))
    assert read_points_csv(tmp_path / "p.csv", classes).nuclei.label[0] == 1


def test_a_million_rows_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    count = 1_000_000
    nuclei = Nuclei.from_points(
        rng.uniform(0, 100_000, (count, 2)).astype(np.float32),
        score=rng.random(count).astype(np.float32),
        label=rng.integers(-1, 3, count),
        origin="nuclei-fast",
    )
    path = write_points_csv(tmp_path / "slide.nuclei.csv", nuclei, mpp=0.25, image="slide")
    back = read_points_csv(path).nuclei
    for column in ("yx", "score", "label", "id"):
        np.testing.assert_array_equal(getattr(back, column), getattr(nuclei, column))


def written(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text)
    return path


def test_a_comma_at_the_end_of_every_row_moves_no_column(tmp_path):
    back = read_points_csv(written(tmp_path, "y,x,label\n10,20,epithelial,\n50,60,,\n"))
    np.testing.assert_array_equal(back.nuclei.yx, [[10, 20], [50, 60]])
    assert list(back.nuclei.label) == [0, -1]


def test_an_empty_origin_is_a_persons(tmp_path):
    back = read_points_csv(written(tmp_path, "y,x,origin\n1,2,\n3,4,fcn\n"))
    assert list(back.nuclei.origin) == ["human", "fcn"]


def test_classes_may_stand_in_a_column_class(tmp_path):
    back = read_points_csv(written(tmp_path, "y,x,class\n1,2,inflammatory\n3,4,\n"))
    assert list(back.nuclei.label) == [1, -1]


def test_probabilities_of_some_classes_are_left_out_and_that_is_said(tmp_path):
    back = read_points_csv(written(tmp_path, "y,x,p_epithelial\n1,2,0.5\n"))
    assert back.nuclei.prob is None
    assert "no column p_inflammatory, p_miscellaneous" in back.remarks[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y,x\n10,20,33\n", "more values than its first line names columns"),
        ("id,y,x\n,10,20\n2,30,40\n", "A row has no id"),
        ("id,y,x\n1.5,10,20\n", "not a whole number"),
        ("id,y,x\n99999999999999999999,10,20\n", "not a number|more than 63 bits"),
        ("id,y,x\n10000000000000000000,10,20\n", "more than 63 bits"),
        (
            "y,x,p_epithelial,p_inflammatory,p_miscellaneous\n1,2,5,-3,7\n",
            "A probability .* outside 0 .. 1",
        ),
        ("# mpp: -3\ny,x\n1,2\n", "-3 µm/px .* is not plausible"),
        ("# mpp: NaN\ny,x\n1,2\n", "nan µm/px .* is not plausible"),
        ("# fields: [[0, 0, 0, 5]]\ny,x\n1,2\n", "at least a pixel high and wide"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, words):
    with pytest.raises(PointsError, match=words):
        read_points_csv(written(tmp_path, text))
