"""Our own CSV, saved again by a spreadsheet."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from napari_nucbudget.errors import PointsError
from napari_nucbudget.io.formats import read_points, write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

CLASSES = ClassScheme((NucleusClass('a, "b"', "#00e5ff", "Q"), NucleusClass("c", "#ffffff", "W")))
NUCLEI = Nuclei.from_points([[1.5, 2], [3, 4.25]], label=[0, 1], score=[0.5, 1], classes=CLASSES)
POINTS = PointsFile(NUCLEI, 0.5, "slide, 1.svs", (20, 30), (Region(1, 2, 3, 4), Region(5, 6, 7, 8)))


def saved_again(path, separator=","):
    """The file as cells of a rectangle, as spreadsheets write them."""
    cells = list(csv.reader(io.StringIO(path.read_text())))
    width = max(map(len, cells))
    text = io.StringIO()
    rows = [row + [""] * (width - len(row)) for row in cells]
    csv.writer(text, delimiter=separator).writerows(rows)
    path.write_text(text.getvalue())
    return path


def test_padded_and_quoted_cells_are_read_as_they_were(tmp_path):
    path = saved_again(write_points(tmp_path / "a.csv", POINTS))
    assert ",,," in path.read_text()
    (back,) = read_points(path)
    assert (back.mpp, back.image, back.shape) == (0.5, "slide, 1.svs", (20, 30))
    assert (back.fields, back.remarks) == (POINTS.fields, ())
    assert back.nuclei.classes == CLASSES
    np.testing.assert_array_equal(back.nuclei.yx, NUCLEI.yx)
    assert list(back.nuclei.label) == [0, 1]


def test_a_header_of_one_cell_a_line_is_read_as_it_was(tmp_path):
    path = write_points(tmp_path / "a.csv", POINTS)
    lines = path.read_text().splitlines()
    quoted = ['"' + line.replace('"', '""') + '"' if line[0] == "#" else line for line in lines]
    path.write_text("\n".join(quoted) + "\n")
    (back,) = read_points(path)
    assert (back.image, back.fields, back.remarks) == ("slide, 1.svs", POINTS.fields, ())
    assert back.nuclei.classes == CLASSES


def test_json_that_a_person_wrote_without_blanks_is_read(tmp_path):
    header = '# classes: [{"name":"t","color":"#fff","key":"Q"}]\n'
    (tmp_path / "a.csv").write_text(header + "y,x,label\n1,2,t\n")
    (points,) = read_points(tmp_path / "a.csv")
    assert points.nuclei.classes.names == ("t",)


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_are_refused_with_what_to_do(tmp_path, separator, name):
    path = saved_again(write_points(tmp_path / "a.csv", POINTS), separator)
    path.write_text(path.read_text().replace("0.5", "0,5"))
    with pytest.raises(PointsError, match=f"has {name} between its columns; save it with commas"):
        read_points(path)


def test_a_pixel_size_with_a_decimal_comma_is_refused_in_words(tmp_path):
    (tmp_path / "a.csv").write_text("# mpp: 0,5\ny,x\n1,2\n")
    with pytest.raises(PointsError, match="mpp, is '0,5' and no number"):
        read_points(tmp_path / "a.csv")
