"""`nucbudget convert`, and the formats of detect and classify."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from napari_nucbudget.io.formats import read_points, write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.label_sets import read_label_set, write_label_set
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.stain import StainStatistics
from tests.cli.conftest import as_tiff

NUCLEI = Nuclei.from_points(
    [[20, 20], [60, 70]], label=[0, -1], score=[1, 0.5], origin=["human", "fcn"]
)


@pytest.fixture
def table(tmp_path):
    return write_points(tmp_path / "in.nuclei.csv", PointsFile(NUCLEI, 0.55, "discs.png"))


@pytest.mark.parametrize(
    "name", ["a.geojson", "a.points.geojson", "a.parquet", "a.coco.json", "a.nuclei.csv"]
)
def test_points_go_from_one_format_to_another_and_back(run, table, tmp_path, name):
    code, stdout, stderr = run("convert", table, tmp_path / name)
    assert (code, stderr) == (0, "")
    assert "2 nuclei" in stdout
    code, _, _ = run("convert", tmp_path / name, tmp_path / "back.csv")
    assert code == 0
    assert (tmp_path / "back.csv").read_bytes() == table.read_bytes()


def test_counts_take_the_area_from_the_image(run, table, image, tmp_path):
    out = tmp_path / "a.counts.csv"
    code, _, _ = run("convert", table, out, "--image", image, "--field", "0,0,40,50")
    assert code == 0
    counts = pd.read_csv(out)
    assert list(counts["field"].unique()) == ["all", "field 1"]
    row = counts[(counts["field"] == "field 1") & (counts["class"] == "epithelial")].iloc[0]
    assert (row["nuclei"], row["human"]) == (1, 1)
    assert row["area_um2"] == pytest.approx(40 * 50 * 0.55**2)
    assert row["per_mm2"] == pytest.approx(1e6 / (40 * 50 * 0.55**2))


def test_a_label_set_takes_human_dots_and_refuses_open_proposals(run, table, image, tmp_path):
    out = tmp_path / "set"
    base = ("convert", table, out, "--to", "label-set", "--image", image)
    code, _, stderr = run(*base, "--field", "whole")
    assert code == 2
    assert "1 proposals that nobody answered" in stderr
    assert not out.exists()

    code, _, stderr = run(*base, "--field", "0,0,40,50", "--licence", "CC0")
    assert code == 0
    assert "does not keep: ids, scores, origins" in stderr
    labels = read_label_set(out)
    (labelled,) = labels
    assert len(labelled.nuclei) == 1
    assert labelled.fields == (Region(0, 0, 40, 50),)
    assert labels.provenance[0].licence == "CC0"


def test_accepted_proposals_leave_and_the_notes_say_so(run, table, image, tmp_path):
    out = tmp_path / "set"
    code, _, _ = run(
        "convert", table, out, "--to", "label-set", "--image", image, "--field", "whole", "--accept"
    )
    assert code == 0
    labels = read_label_set(out)
    assert labels.nuclei_count == 2
    assert labels.provenance[0].notes == "1 proposals were accepted as they were."


def test_a_label_set_of_several_images_becomes_a_folder_of_tables(run, tmp_path):
    folder = tmp_path / "labels"
    (folder / "images").mkdir(parents=True)
    for name in "ab":
        Image.fromarray(np.full((40, 50, 3), 200, np.uint8)).save(folder / f"images/{name}.png")
    (folder / "dataset.json").write_text('{"mpp": 0.5}')
    (folder / "images.csv").write_text("image\na\nb\n")
    (folder / "points.csv").write_text("image,x,y\na,1,2\nb,3,4\nb,5,6\n")
    out = tmp_path / "tables"
    code, stdout, _ = run("convert", folder, out, "--to", "geojson", "--json")
    assert code == 0
    assert json.loads(stdout)["nuclei"] == 3
    assert sorted(p.name for p in out.iterdir()) == ["a.nuclei.geojson", "b.nuclei.geojson"]

    code, _, stderr = run("convert", folder, tmp_path / "one.csv")
    assert code == 2
    assert "There are 2 images" in stderr
    code, _, _ = run("convert", folder, tmp_path / "one.csv", "--only", "b")
    assert code == 0
    (points,) = read_points(tmp_path / "one.csv")
    np.testing.assert_array_equal(points.nuclei.yx, [[4, 3], [6, 5]])


def test_a_folder_of_one_folder_becomes_a_folder_of_one_table(run, tmp_path):
    folder = tmp_path / "Classification" / "img1"
    folder.mkdir(parents=True)
    savemat(folder / "img1_epithelial.mat", {"detection": np.array([[1.0, 2.0], [3.0, 4.0]])})
    out = tmp_path / "tables"
    code, stdout, _ = run("convert", folder.parent, out, "--to", "csv", "--mpp", "0.55")
    assert code == 0
    assert [p.name for p in out.iterdir()] == ["img1.nuclei.csv"]
    assert stdout.startswith(f"{out / 'img1.nuclei.csv'}: 2 nuclei")
    # one image that is named, or a file that is
    for given, name, more in (
        (folder, "a", ()),
        (folder.parent, "b", ("--only", "img1")),
        (folder.parent, "c.csv", ()),
    ):
        assert run("convert", given, tmp_path / name, "--to", "csv", *more)[0] == 0
        assert (tmp_path / name).is_file()


def test_outlines_become_centroids_and_that_is_said(run, tmp_path):
    ring = [[10, 10], [14, 10], [14, 12], [10, 12], [10, 10]]
    body = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "q.geojson").write_text(json.dumps({"features": [body]}))
    code, _, stderr = run("convert", tmp_path / "q.geojson", tmp_path / "a.csv", "--mpp", "0.5")
    assert code == 0
    assert "1 outlines were taken as their centroids" in stderr
    (points,) = read_points(tmp_path / "a.csv")
    assert points.mpp == 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no.csv", "a.csv"), "no such file"),
        (("in.nuclei.csv", "a.txt"), "a.txt has no suffix of a file of points; known: .nuclei.csv"),
        (("in.nuclei.csv", "folder"), "name the format: --to csv | geojson"),
        (("in.nuclei.csv", "a.mat"), "CRCHistoPhenotypes (MATLAB) can be read, but not written"),
        (("in.nuclei.csv", "a.csv", "--to", "geojsn"), "Did you mean 'geojson'"),
        (("in.nuclei.csv", "a.csv", "--only", "x"), "holds no image 'x'; it holds discs.png"),
        (("in.nuclei.csv", "a.csv", "--field", "1,2"), "--field takes Y,X,HEIGHT,WIDTH"),
        (("in.nuclei.csv", "a.csv", "--field", "whole"), "needs the size of the image"),
        (("in.nuclei.csv", "a.csv", "--classes", "a,a"), "Class names must differ"),
        (("in.nuclei.csv", "a.csv", "--classes", "x,y"), "There is no class named 'epithelial'"),
        (("in.nuclei.csv", "a.csv", "--mpp", "99"), "not plausible"),
        (("in.nuclei.csv", "set", "--to", "label-set"), "holds the image itself"),
        (("broken.geojson", "a.csv"), "not JSON, or was cut short"),
        (("empty.coco.json", "folder", "--to", "csv"), "empty.coco.json holds no image"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    run, table, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.geojson").write_text('{"features": [{"ty')
    empty = {key: [] for key in ("images", "annotations", "categories")}
    (tmp_path / "empty.coco.json").write_text(json.dumps(empty))
    before = sorted(p.name for p in tmp_path.iterdir())
    code, stdout, stderr = run("convert", *arguments)
    assert (code, stdout) == (2, "")
    assert words in stderr
    assert "Traceback" not in stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["a.nuclei.geojson", "a.coco.json", "a.parquet"])
def test_detect_writes_the_format_of_the_suffix(run, model, image, tmp_path, name):
    out = tmp_path / name
    code, _, _ = run("detect", image, "--model", model, "--mpp", "0.55", "--out", out)
    assert code == 0
    (points,) = read_points(out)
    assert len(points.nuclei) == 5
    assert (points.mpp, points.shape, points.image) == (0.55, (110, 110), "discs.png")


def test_detect_writes_a_folder_of_a_named_format(run, model, image, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    code, _, _ = run(
        "detect", image, "--model", model, "--mpp", "0.55", "--out", out, "--to", "geojson"
    )
    assert code == 0
    assert [p.name for p in out.iterdir()] == ["discs.nuclei.geojson"]


def test_detect_refuses_an_unknown_suffix_before_it_computes(run, model, image, tmp_path):
    code, _, stderr = run(
        "detect", image, "--model", model, "--mpp", "0.55", "--out", tmp_path / "a.geojsn"
    )
    assert code == 2
    assert "a.geojsn has no suffix of a file of points" in stderr


def test_a_label_set_of_a_label_set_keeps_what_is_told_of_its_images(run, image, tmp_path):
    stain = StainStatistics((0.3, 0.6, 0.3), (0.1, 0.2, 0.1), 900)
    pixels = np.asarray(Image.open(image))
    images = tuple(
        AnnotatedImage(
            ArraySource(pixels, mpp=0.55, name=name),
            NUCLEI.select(np.array([0])),
            (Region.whole(pixels.shape[:2]),),
            *(patient, "colon", split),
            stain=stain,
        )
        for name, patient, split in (("a", "P1", "train"), ("b", "P2", "test"))
    )
    told = Provenance("mine", licence="CC0", cite="me", stain="H&E", notes="by two readers")
    write_label_set(LabelSet(images, DEFAULT_CLASSES, (told,)), tmp_path / "in")
    code, _, _ = run("convert", tmp_path / "in", tmp_path / "out", "--to", "label-set")
    assert code == 0
    back = read_label_set(tmp_path / "out")
    assert [(i.patient, i.tissue, i.split, i.stain) for i in back] == [
        ("P1", "colon", "train", stain),
        ("P2", "colon", "test", stain),
    ]
    assert back.provenance == (replace(told, name="out"),)

    code, _, stderr = run("convert", tmp_path / "in", tmp_path / "tables", "--to", "csv")
    assert code == 0
    assert "does not keep: patient, tissue, split and licence" in stderr


def test_what_is_left_out_of_a_label_set_is_said_and_not_counted(run, image, tmp_path):
    nuclei = Nuclei.from_points(
        [[20, 20], [30, 400], [60, 70]], origin=["human", "human", "fcn"], score=[1, 1, 0.5]
    )
    table = write_points(tmp_path / "a.csv", PointsFile(nuclei, 0.55, "discs.png"))
    code, stdout, stderr = run(
        "convert", table, tmp_path / "set", "--to", "label-set", "--image", image
    )
    assert code == 0
    assert "1 nuclei" in stdout
    assert "1 proposals that nobody answered were left out; --accept takes them" in stderr
    assert "1 dots outside the image, or outside its crops, were left out" in stderr


def test_dots_in_two_crops_are_not_taken_off_those_that_are_left_out(run, image, tmp_path):
    nuclei = Nuclei.from_points([[20, 20], [25, 25], [60, 70], [30, 400]])
    table = write_points(tmp_path / "a.csv", PointsFile(nuclei, 0.55, "discs.png"))
    fields = ("--field", "0,0,40,40", "--field", "10,10,40,40", "--crops")
    code, stdout, stderr = run(
        "convert", table, tmp_path / "set", "--to", "label-set", "--image", image, *fields
    )
    assert code == 0
    assert "4 nuclei" in stdout  # two, in each of two crops
    assert "2 dots outside the image, or outside its crops, were left out" in stderr


def test_dots_outside_the_image_are_said_beside_other_remarks(run, image, tmp_path):
    text = "# nuclei: 9\ny,x\n-3,2\n500,2\n"
    (tmp_path / "a.csv").write_text(text)
    base = ("convert", tmp_path / "a.csv", tmp_path / "b.geojson", "--image", image)
    code, _, stderr = run(*base, "--mpp", "0.55")
    assert code == 0
    assert "The header counts 9 nuclei" in stderr
    assert stderr.count("lie outside the image") == 1
    assert "2 of 2 nuclei lie outside the image, the first at x=2, y=-3" in stderr


def test_a_table_that_contradicts_its_image_about_the_pixel_size_is_refused(
    run, table, image, tmp_path
):
    other = as_tiff(image, tmp_path / "discs.tif", mpp=0.25)
    base = ("convert", table, tmp_path / "set", "--to", "label-set", "--image", other, "--accept")
    code, _, stderr = run(*base)
    assert (code, (tmp_path / "set").exists()) == (2, False)
    assert "discs.tif says 0.25 µm per pixel, the points say 0.55" in stderr
    code, _, _ = run(*base, "--mpp", "0.25")
    assert code == 0
    assert next(iter(read_label_set(tmp_path / "set"))).mpp == 0.25


@pytest.mark.parametrize("field", ["0,0,0,0", "0,0,-5,5"])
def test_a_field_without_an_area_is_refused(run, table, tmp_path, field):
    code, _, stderr = run("convert", table, tmp_path / "a.counts.csv", "--field", field)
    assert code == 2
    assert "at least a pixel high and wide" in stderr


def test_options_of_label_sets_are_refused_elsewhere(run, table, tmp_path):
    code, _, stderr = run("convert", table, tmp_path / "a.csv", "--crops", "--patient", "P")
    assert code == 2
    assert "Only a label set takes --crops, --patient, and" in stderr
