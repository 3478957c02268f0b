"""`nucbudget convert` writes over nothing that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_nucbudget.io.formats import write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.nuclei import Nuclei
from tests.cli.test_convert_names import label_set


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path, image, monkeypatch):
    """A folder with discs.png, in.csv and a label set `set` of the images a and b."""
    monkeypatch.chdir(tmp_path)
    write_points("in.csv", PointsFile(Nuclei.from_points([[3, 4]]), 0.55, "discs.png"))
    label_set(tmp_path / "set", "a", "b")
    Path("link.png").hardlink_to("discs.png")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("in.csv", "discs.png", "--to", "csv", "--image", "discs.png"), "is the image itself"),
        (("in.csv", "link.png", "--to", "csv", "--image", "discs.png"), "is the image itself"),
        (("in.csv", "in.csv", "--mpp", "0.5"), "in.csv is the input itself"),
        (("set", "set/points.csv", "--only", "a"), "lies inside the label set that is read"),
        (("set", "set/images/a.png", "--only", "a", "--to", "csv"), "lies inside the label set"),
        (("set", "set", "--to", "csv"), "lies inside the label set"),
        (("set", "set/new", "--to", "label-set"), "lies inside the label set"),
    ],
)
def test_what_is_read_is_not_written_over(run, place, arguments, words):
    before = contents(place)
    code, _, stderr = run("convert", *arguments)
    assert code == 2
    assert words in stderr
    assert contents(place) == before


def test_of_several_tables_none_is_written_where_one_would_replace_the_input(run, tmp_path):
    given = tmp_path / "b.nuclei.csv"
    given.write_text("image,y,x\na.png,1,1\nb.png,2,2\n")
    code, _, stderr = run("convert", given, tmp_path, "--to", "csv")
    assert code == 2
    assert "b.nuclei.csv is the input itself" in stderr
    assert [p.name for p in tmp_path.iterdir()] == ["b.nuclei.csv"]
