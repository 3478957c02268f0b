"""Nuclei of a project as files: what leaves, what stays, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.bridge.project_export import ExportRequest, file_name, iter_export
from napari_nucbudget.bridge.project_points import project_counts, project_points
from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.formats import FORMATS, read_points
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import Provenance
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of

FIELD = Region(0, 0, 20, 20)
PIXELS = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)


@pytest.fixture
def store(tmp_path: Path):
    """Two dots, an accepted and two open proposals; the field holds the dots."""
    with open_project(tmp_path / "study.nucbudget", annotator="Ann") as store:
        image = store.add_image((60, 80), name="a.tif", mpp=0.5)
        store.add(image, [(5, 5), (10.25, 12)], "epithelial")
        prob = [[0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]
        found = Nuclei.from_points(
            [(30, 30), (40, 40), (50.5, 60)],
            score=[0.9, 0.6, 0.3],
            label=[1, 0, 0],
            origin="nuclei-fcn",
            prob=prob,
        )
        ids = store.add_proposals(image, found)
        store.accept(ids[:1])
        store.add_field(image, FIELD)
        yield store


def export(store: ProjectStore, **asked):
    asked.setdefault("images", (1,))
    return result_of(iter_export(store, ExportRequest(**asked)))


@pytest.mark.parametrize(
    ("which", "count"), [("visible", 5), ("human", 3), ("accepted", 1), ("proposed", 2)]
)
def test_the_choice_decides_which_nuclei_leave(store: ProjectStore, which: str, count: int) -> None:
    assert len(project_points(store, 1, which=which).nuclei) == count


@pytest.mark.parametrize("name", ["csv", "parquet", "geojson", "geojson-annotations", "coco"])
def test_a_file_gives_everything_back(store: ProjectStore, tmp_path: Path, name: str) -> None:
    path = tmp_path / file_name(store.image(1), name)
    assert export(store, format=name, path=path).nuclei == 5
    (back,) = read_points(path)
    sent = project_points(store, 1)
    assert FORMATS[name].loses(sent) == []
    assert (back.mpp, back.image, back.fields) == (0.5, "a.tif", (FIELD,))
    assert back.nuclei.classes == sent.nuclei.classes
    order, sent_order = np.argsort(back.nuclei.id), np.argsort(sent.nuclei.id)
    for column in ("id", "yx", "score", "label", "origin", "prob"):
        np.testing.assert_array_equal(
            getattr(back.nuclei, column)[order], getattr(sent.nuclei, column)[sent_order]
        )


def test_a_field_stays_behind_when_not_all_of_its_nuclei_leave(store: ProjectStore) -> None:
    part = project_points(store, 1, ids=store.nuclei(1).id[:1])
    assert part.fields == ()
    assert "1 of 1 fields of a.tif is left out" in part.remarks[0]
    assert project_points(store, 1, which="human").fields == (FIELD,)
    store.add_field(1, Region(0, 0, 60, 80), allow_unanswered=True)
    assert project_points(store, 1, which="human").fields == (FIELD,)


def test_training_data_hold_no_open_proposal_and_the_facts_of_each_image(
    store: ProjectStore, tmp_path: Path
) -> None:
    store.describe_image(1, patient="P7", split="test")
    sources = {1: ArraySource(PIXELS, mpp=0.5, name="a")}
    told = Provenance("study", licence="CC0", notes="drawn")
    done = export(
        store, format="label-set", path=tmp_path / "labels", sources=sources, provenance=told
    )
    labels = read_label_set(tmp_path / "labels")
    (image,) = labels.images
    assert sorted(image.nuclei.yx.tolist()) == [[5, 5], [10.25, 12], [30, 30]]
    assert (image.patient, image.split, image.fields) == ("P7", "test", (FIELD,))
    assert replace(labels.provenance[0], stain="H&E") == told
    assert done.remarks == ("Open proposals, which nobody accepted, were left out: 2.",)


def test_training_data_are_refused_while_a_field_holds_open_proposals(
    store: ProjectStore, tmp_path: Path
) -> None:
    store.add_field(1, Region(35, 35, 25, 45), allow_unanswered=True)
    sources = {1: ArraySource(PIXELS, mpp=0.5, name="a")}
    with pytest.raises(OutputError, match=r"2 proposals are open in field 2 of a.tif"):
        export(store, format="label-set", path=tmp_path / "labels", sources=sources)
    assert not (tmp_path / "labels").exists()


def test_crops_hold_each_field_as_an_image(store: ProjectStore, tmp_path: Path) -> None:
    sources = {1: ArraySource(PIXELS, mpp=0.5, name="a")}
    export(store, format="label-set", path=tmp_path / "labels", sources=sources, crops=True)
    (image,) = read_label_set(tmp_path / "labels").images
    assert image.source.shape == (20, 20)
    assert len(image.nuclei) == 2


def test_several_images_become_a_file_each_under_names_that_differ(
    store: ProjectStore, tmp_path: Path
) -> None:
    second = store.add_image((60, 80), name="a.png", mpp=0.5)
    done = export(store, images=(1, second), format="csv", path=tmp_path / "out", one_file=False)
    assert [path.name for path in done.paths] == ["a.nuclei.csv", "a (2).nuclei.csv"]
    assert all(path.exists() for path in done.paths)


def test_a_file_that_exists_is_replaced_only_when_that_was_said(
    store: ProjectStore, tmp_path: Path
) -> None:
    path = tmp_path / "a.nuclei.csv"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export(store, format="csv", path=path)
    assert path.read_text() == "mine"
    export(store, format="csv", path=path, replace=True)
    assert len(read_points(path)[0].nuclei) == 5


def test_counts_name_class_field_and_area(store: ProjectStore) -> None:
    rows = [(count.field, count.label, count.nuclei, count.human, count.area_um2, count.per_um2)
            for _, count in project_counts(store, [1])]  # fmt: skip
    whole, field = 60 * 80 * 0.25, 20 * 20 * 0.25
    assert rows == [
        ("all", "epithelial", 4, 2, whole, 4 / whole),
        ("all", "inflammatory", 1, 1, whole, 1 / whole),
        ("all", "miscellaneous", 0, 0, whole, 0.0),
        ("field 1", "epithelial", 2, 2, field, 2 / field),
        ("field 1", "inflammatory", 0, 0, field, 0.0),
        ("field 1", "miscellaneous", 0, 0, field, 0.0),
    ]


@pytest.mark.parametrize("kind", ["csv", "label-set"])
def test_neither_an_image_nor_a_project_is_written_over(
    store: ProjectStore, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "slide.tif"
    file.write_bytes(b"pixels")
    store.add_image((60, 80), path=file, mpp=0.5)
    for path in (file, tmp_path / "." / "slide.tif", store.path, tmp_path / "other.nucbudget"):
        with pytest.raises(
            OutputError, match=r"(itself|name of a project).*[Nn]othing was written"
        ):
            export(store, format=kind, path=path, replace=True)
    assert file.read_bytes() == b"pixels"
