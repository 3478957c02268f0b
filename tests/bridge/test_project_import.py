"""Files into a project: one step of undo, nothing doubled, nothing dropped in silence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.bridge.project_export import ExportRequest, file_name, iter_export
from napari_nucbudget.bridge.project_import import (
    Imported,
    ImportPlan,
    import_points,
    iter_read,
    likely_image,
    misfits,
    new_classes,
)
from napari_nucbudget.errors import OutputError, PointsError
from napari_nucbudget.io.formats import FORMATS
from napari_nucbudget.io.formats.csv import read_points_csv
from napari_nucbudget.io.formats.points_file import Labelled, PointsFile
from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of
from tests.project.contents import contents

ODD = 'a "b", c\nd'
TUMOUR = ClassScheme((NucleusClass("tumour", "#ff0000", "Q"), NucleusClass(ODD, "#00ff00")))


@pytest.fixture
def store(tmp_path: Path):
    with open_project(tmp_path / "study.nucbudget", annotator="Ann") as store:
        store.add_image((60, 80), name="a.tif", mpp=0.5)
        yield store


def dots(yx, **known) -> PointsFile:
    return PointsFile(Nuclei.from_points(yx, **known), 0.5, "a.tif", (60, 80))


def take(store: ProjectStore, *points: PointsFile, **plan) -> Imported:
    plan.setdefault("targets", [1] * len(points))
    return import_points(store, points, ImportPlan(**plan), name="a.csv")


@pytest.mark.parametrize(
    "name", [n for n in FORMATS if FORMATS[n].read and FORMATS[n].write and n != "label-set"]
)
def test_a_project_comes_back_from_every_format(
    store: ProjectStore, tmp_path: Path, name: str
) -> None:
    store.add_class(NucleusClass(ODD, "#123456", "G"))
    store.add(1, [(5, 5), (10.25, 12)], ODD)
    found = Nuclei.from_points(
        [(30, 30), (40, 40)], score=[0.9, 0.6], label=[1, -1], origin="nuclei-fcn"
    )
    store.add_proposals(1, found)
    store.add_field(1, Region(0, 0, 20, 20))
    path = tmp_path / file_name(store.image(1), name)
    result_of(iter_export(store, ExportRequest((1,), name, path)))
    with open_project(tmp_path / "other.nucbudget", annotator="Bob") as other:
        other.add_image((60, 80), name="a.tif", mpp=0.5)
        points = result_of(iter_read(path))
        done = take(other, *points, classes={ODD: None})
        assert (done.human, done.proposed, done.fields) == (2, 2, 1)
        sent, back = store.nuclei(1), other.nuclei(1)
        order, sent_order = np.lexsort(back.yx.T), np.lexsort(sent.yx.T)
        for column in ("yx", "score", "origin"):
            np.testing.assert_array_equal(
                getattr(back, column)[order], getattr(sent, column)[sent_order]
            )
        names = [n.classes.to_names(n.label[o]).tolist()
                 for n, o in ((back, order), (sent, sent_order))]  # fmt: skip
        assert names[0] == names[1]
        assert [field.region for field in other.fields(1)] == [Region(0, 0, 20, 20)]


def test_an_import_is_one_step_of_undo(store: ProjectStore) -> None:
    nuclei = Nuclei.from_points([(1, 1), (2, 5)], label=[0, 1], classes=TUMOUR)
    points = PointsFile(nuclei, fields=(Region(0, 0, 9, 9),))
    take(store, points, classes={"tumour": None, ODD: "inflammatory"})
    assert store.undo_label == "import 2 nuclei from a.csv"
    assert store.nuclei(1).counts()["tumour"] == 1
    assert store.nuclei(1).counts()["inflammatory"] == 1
    store.undo()
    assert len(store.nuclei(1)) == 0
    assert "tumour" not in store.classes.names
    assert store.fields() == ()


def test_a_class_that_the_project_lacks_is_asked_for_never_dropped(store: ProjectStore) -> None:
    points = PointsFile(Nuclei.from_points([(1, 1)], label=0, classes=TUMOUR))
    assert [c.name for c in new_classes([points], store.classes)] == ["tumour"]
    with pytest.raises(PointsError, match="no class 'tumour'"):
        take(store, points)
    assert store.undo_label is None


def test_a_new_class_does_not_take_the_key_of_another(store: ProjectStore) -> None:
    points = PointsFile(Nuclei.from_points([(1, 1)], label=0, classes=TUMOUR))
    take(store, points, classes={"tumour": None})
    assert [c.key for c in store.classes.classes] == ["Q", "W", "E", ""]


def test_what_is_there_already_is_not_doubled(store: ProjectStore) -> None:
    store.add(1, [(5, 5), (20, 20)], "epithelial")
    done = take(store, dots([(5, 5.25), (20, 20), (40, 40)], label=[0, 1, 0]))
    assert (done.human, done.same) == (1, 2)
    assert "Of another class in the file than in a.tif" in done.remarks[0]
    assert len(store.nuclei(1)) == 3


def test_a_dot_on_an_open_proposal_answers_it(store: ProjectStore) -> None:
    found = Nuclei.from_points([(5, 5), (20, 20)], score=0.5, origin="nuclei-fcn")
    ids = store.add_proposals(1, found)
    done = take(store, dots([(5, 5)], label=1))
    assert (done.human, done.answered) == (0, 1)
    answered = store.nuclei(1, which="accepted")
    assert answered.id.tolist() == [ids[0]]
    assert answered.label.tolist() == [1]


def test_replacing_takes_the_old_nuclei_away_and_judges_none(store: ProjectStore) -> None:
    store.add(1, (5, 5))
    ids = store.add_proposals(1, Nuclei.from_points([(20, 20)], origin="nuclei-fcn"))
    store.accept(ids)
    take(store, dots([(40, 40)]), replace=True)
    assert store.nuclei(1).yx.tolist() == [[40, 40]]
    assert len(store.nuclei(1, which="rejected")) == 0
    store.undo()
    assert len(store.nuclei(1)) == 2


def test_nuclei_outside_the_image_are_refused_until_a_person_leaves_them_out(
    store: ProjectStore,
) -> None:
    points = dots([(5, 5), (5, 500)])
    with pytest.raises(PointsError, match=r"1 of 2 nuclei lie outside a\.tif of 60 x 80"):
        take(store, points)
    assert store.undo_label is None
    done = take(store, points, skip_outside=True)
    assert done.human == 1
    assert done.remarks == ("Left out, since outside a.tif: 1.",)


def test_an_import_that_fails_half_way_leaves_the_project_as_it_was(
    store: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args, **known):
        raise PointsError("The disk is full.")

    store.add(1, (9, 9))
    monkeypatch.setattr(store, "insert", fail)
    points = PointsFile(Nuclei.from_points([(1, 1)], label=0, classes=TUMOUR))
    with pytest.raises(PointsError, match="disk is full"):
        take(store, points, classes={"tumour": None}, replace=True)
    assert store.nuclei(1).yx.tolist() == [[9, 9]]
    assert "tumour" not in store.classes.names


def test_an_import_onto_a_full_disk_changes_nothing_and_works_once_there_is_room(
    store: ProjectStore,
) -> None:
    store.add(1, (3, 3), "epithelial")
    rng = np.random.default_rng(0)
    many = [dots(rng.uniform(0, 59, (count, 2)), label=0, classes=TUMOUR) for count in (9, 9000)]
    second = store.add_image((60, 80), name="b.tif")
    before = contents(store)
    ((pages,),) = store.select("PRAGMA page_count")
    plan = {"targets": [1, second], "classes": {"tumour": None}, "replace": True}
    store.select(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(OutputError, match=r"disk is full\. Nothing was changed"):
        take(store, *many, **plan)
    assert contents(store) == before
    with open_project(store.path, read_only=True) as disk:
        assert contents(disk) == before
    store.select("PRAGMA max_page_count = 1073741823")
    assert take(store, *many, **plan).human == 9009
    store.undo()
    assert store.nuclei(1).yx.tolist() == [[3, 3]]


def test_a_field_with_open_proposals_is_not_declared_and_that_is_said(store: ProjectStore) -> None:
    nuclei = Nuclei.from_points([(5, 5)], origin="nuclei-fcn")
    done = take(store, PointsFile(nuclei, fields=(Region(0, 0, 9, 9),)))
    assert store.fields() == ()
    assert "1 proposal in this field is unanswered" in done.remarks[0]


def test_probabilities_of_joined_classes_are_added(store: ProjectStore) -> None:
    nuclei = Nuclei.from_points(
        [(5, 5)], label=0, prob=[[0.75, 0.25]], origin="typer", classes=TUMOUR
    )
    take(store, PointsFile(nuclei), classes={"tumour": "epithelial", ODD: "epithelial"})
    np.testing.assert_allclose(store.nuclei(1).prob, [[1, 0, 0]])


def test_polygons_of_qupath_come_as_centroids_and_that_is_said(
    store: ProjectStore, tmp_path: Path
) -> None:
    square = [[[10, 20], [14, 20], [14, 24], [10, 24], [10, 20]]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": square},
        "properties": {"objectType": "detection", "classification": {"name": "Tumor"}},
    }
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    (points,) = result_of(iter_read(path))
    assert any("centroid" in remark for remark in points.remarks)
    take(store, points, classes={"Tumor": None})
    assert store.nuclei(1).yx.tolist() == [[21.5, 11.5]]


def test_the_image_is_found_by_name_or_stem_when_only_one_fits(store: ProjectStore) -> None:
    nuclei = Nuclei.empty()
    assert likely_image(store, PointsFile(nuclei, image="a.tif")) == 1
    assert likely_image(store, PointsFile(nuclei, image="C:\\slides\\A.png")) == 1
    assert likely_image(store, PointsFile(nuclei)) is None
    store.add_image((9, 9), name="a.png")
    assert likely_image(store, PointsFile(nuclei, image="a.jpg")) is None


def test_another_size_or_pixel_size_is_said_before_anything_is_imported(
    store: ProjectStore,
) -> None:
    wrong = PointsFile(Nuclei.empty(), 0.25, "a.tif", (120, 160))
    size, mpp = misfits(store, wrong, 1)
    assert "120 x 160" in size
    assert "0.25 µm/px, the project 0.5" in mpp
    assert misfits(store, PointsFile(Nuclei.empty(), 0.5, "a.tif", (60, 80)), 1) == ()


def test_replacing_takes_fields_back_whose_nuclei_are_gone(store: ProjectStore) -> None:
    store.add(1, [(5, 5), (8, 8)])
    store.add_field(1, Region(0, 0, 20, 20))
    done = take(store, dots([(40, 40)]), replace=True)
    assert store.fields(1) == ()
    assert "taken back" in done.remarks[0]
    store.undo()
    assert len(store.fields(1)) == 1


def test_a_dot_without_class_accepts_a_typed_proposal_as_it_is(store: ProjectStore) -> None:
    found = Nuclei.from_points([(5, 5)], label=1, origin="nuclei-fcn", prob=[[0.25, 0.5, 0.25]])
    store.add_proposals(1, found)
    assert take(store, dots([(5, 5)])).answered == 1
    assert store.nuclei(1, which="accepted").label.tolist() == [1]


def test_a_file_of_another_image_is_said(store: ProjectStore) -> None:
    store.add_image((60, 80), name="b.tif", mpp=0.5)
    (told,) = misfits(store, dots([(5, 5)]), 2)
    assert "lie on 'a.tif', not 'b.tif'" in told
    assert misfits(store, dots([(5, 5)]), 1) == ()
    store.add_image((60, 80), name="a.tif", mpp=0.5)  # of another folder
    assert misfits(store, dots([(5, 5)]), 1) == ()


def test_names_with_dots_are_told_apart_where_the_project_has_both(store: ProjectStore) -> None:
    first, second = (store.add_image((60, 80), name=f"case.{n}.tif", mpp=0.5) for n in (1, 2))
    named = replace(dots([(5, 5)]), image="scans/case.1.tif")
    assert misfits(store, named, first) == ()
    (told,) = misfits(store, named, second)
    assert "lie on 'scans/case.1.tif', not 'case.2.tif'" in told
    assert misfits(store, replace(named, image="case.csv"), second) == ()  # either may be meant


def test_a_label_set_brings_patient_and_split_where_the_project_says_nothing_else(
    store: ProjectStore,
) -> None:
    told = Labelled("P1", "colon", "test", None, None)
    done = take(store, replace(dots([(5, 5)]), labelled=told))
    about = store.image(1)
    assert (about.patient, about.tissue, about.split) == ("P1", "colon", "test")
    assert done.remarks == ("a.tif: patient P1, tissue colon, split test, says the label set.",)
    store.describe_image(1, patient="P2", split="validation")
    assert take(store, replace(dots([(9, 9)]), labelled=told)).remarks == ()
    assert store.image(1).patient == "P2"


def test_a_table_of_several_images_is_one_table_an_image(
    store: ProjectStore, tmp_path: Path
) -> None:
    (tmp_path / "points.csv").write_text(
        "image,x,y,class\na.tif,5,6,epithelial\nb.tif,7,8,\na.tif,9,10,inflammatory\n"
    )
    first, second = result_of(iter_read(tmp_path / "points.csv"))
    assert (first.image, second.image) == ("a.tif", "b.tif")
    assert first.nuclei.yx.tolist() == [[6, 5], [10, 9]]
    assert first.nuclei.label.tolist() == [0, 1]
    assert second.nuclei.yx.tolist() == [[8, 7]]
    assert (likely_image(store, first), likely_image(store, second)) == (1, None)
    with pytest.raises(PointsError, match="nuclei of 2 images"):
        read_points_csv(tmp_path / "points.csv")
