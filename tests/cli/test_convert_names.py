"""Names of images on their way through `nucbudget convert`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_nucbudget.io.formats import read_points, write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.label_sets import read_label_set, write_label_set
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei
from tests.cli.conftest import as_tiff

ONE = Nuclei.from_points([[3, 4]])


def label_set(folder, *names):
    """A label set of grey images of 20 x 30 pixels, each with a dot."""
    pixels = np.full((20, 30, 3), 200, np.uint8)
    images = tuple(
        AnnotatedImage(ArraySource(pixels, mpp=0.5, name=name), ONE, (Region.whole((20, 30)),))
        for name in names
    )
    return write_label_set(LabelSet(images, DEFAULT_CLASSES, ()), folder)


def test_crops_of_an_ome_tiff_keep_their_names_from_label_set_to_label_set(run, image, tmp_path):
    nuclei = Nuclei.from_points([[20, 20], [60, 70]])
    slide = as_tiff(image, tmp_path / "discs.ome.tif", mpp=0.55)
    table = write_points(tmp_path / "in.csv", PointsFile(nuclei, 0.55, "discs.ome.tif"))
    fields = ("--field", "0,0,50,50", "--field", "50,50,50,50")
    base = ("--to", "label-set", "--image", slide, *fields, "--crops")
    assert run("convert", table, tmp_path / "crops", *base)[0] == 0
    again = ("convert", tmp_path / "crops", tmp_path / "again", "--to", "label-set")
    assert run(*again, "--patient", "P1")[0] == 0
    images = {i.name: i for i in read_label_set(tmp_path / "again")}
    assert list(images) == ["discs.ome_y0_x0", "discs.ome_y50_x50"]
    np.testing.assert_array_equal(images["discs.ome_y50_x50"].nuclei.yx, [[10, 20]])
    assert {i.patient for i in images.values()} == {"P1"}


def test_tables_of_a_label_set_are_called_as_its_images(run, tmp_path):
    given = label_set(tmp_path / "set", "v1.0", "v1.1", "a.png")
    assert run("convert", given, tmp_path / "tables", "--to", "csv")[0] == 0
    names = sorted(path.name for path in (tmp_path / "tables").iterdir())
    assert names == ["a.png.nuclei.csv", "v1.0.nuclei.csv", "v1.1.nuclei.csv"]


def test_one_image_is_chosen_by_its_whole_name_before_its_stem(run, tmp_path):
    given = label_set(tmp_path / "set", "v1", "v1.1")
    assert run("convert", given, tmp_path / "a.csv", "--only", "v1")[0] == 0
    (points,) = read_points(tmp_path / "a.csv")
    assert points.image == "v1"


@pytest.mark.parametrize("only", ["a.png", "b"])
def test_an_image_may_be_chosen_without_its_suffix(run, tmp_path, only):
    rows = {"image": ["a.png", "a.tif", "b.jpg"], "y": [1, 2, 3], "x": [1, 2, 3]}
    pd.DataFrame(rows).to_csv(tmp_path / "in.csv", index=False)
    assert run("convert", tmp_path / "in.csv", tmp_path / "out.csv", "--only", only)[0] == 0
    (points,) = read_points(tmp_path / "out.csv")
    assert points.image == {"a.png": "a.png", "b": "b.jpg"}[only]


def test_a_name_of_two_images_chooses_none(run, tmp_path):
    (tmp_path / "in.csv").write_text("image,y,x\na.png,1,1\na.tif,2,2\n")
    code, _, stderr = run("convert", tmp_path / "in.csv", tmp_path / "out.csv", "--only", "a")
    assert code == 2
    assert "holds 2 images 'a': a.png, a.tif. Give the whole name of one" in stderr


def test_what_is_said_of_a_table_of_many_images_is_said_once(run, tmp_path):
    (tmp_path / "in.csv").write_text("image,y,x,p_epithelial\na,1,1,1\nb,2,2,1\nc,3,3,1\n")
    code, _, stderr = run("convert", tmp_path / "in.csv", tmp_path / "out", "--to", "csv")
    assert code == 0
    assert stderr.count("The probabilities were left out") == 1
