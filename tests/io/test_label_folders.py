"""Label set folders are told apart by where they lie."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.io.label_sets import read_label_set, read_label_sets, write_label_set
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.labels import LabelSet, Provenance
from tests.learn.conftest import drawn_image


def written(folder: Path, licence: str = "CC0", seed: int = 0) -> Path:
    folder.parent.mkdir(exist_ok=True)
    image = replace(drawn_image("a", "train", seed), patient="p1")
    about = Provenance("my labels", licence=licence)
    return write_label_set(LabelSet((image,), DEFAULT_CLASSES, (about,)), folder)


def test_folders_of_one_name_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    folders: list[Path | str] = [
        written(tmp_path / "one" / "labels", "CC0"),
        written(tmp_path / "two" / "labels", "secret", 1),
        written(tmp_path / "two" / "other", "unknown", 2),
    ]
    both = read_label_sets(folders)
    assert [image.dataset for image in both] == ["one/labels", "two/labels", "other"]
    assert len({image.identity for image in both}) == 3
    licences = [image.origin.licence for image in both if image.origin]
    assert licences == ["CC0", "secret", "unknown"]


def test_a_folder_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "set")
    monkeypatch.chdir(folder)
    with pytest.raises(LabelSetError, match=r"The label set \. is given twice; give it once\."):
        read_label_sets([".", folder])


def test_a_folder_is_known_by_its_name_from_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written(tmp_path / "set"))
    assert {image.dataset for image in read_label_set(".")} == {"set"}


def test_an_empty_cell_is_no_patient(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    table = pd.read_csv(folder / "images.csv")
    table[["patient", "tissue"]] = ""
    table.to_csv(folder / "images.csv", index=False)
    (image,) = read_label_set(folder)
    assert (image.patient, image.tissue) == ("unknown", "unknown")


def test_a_set_without_a_name_is_called_as_its_folder(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    facts = json.loads((folder / "dataset.json").read_text())
    del facts["name"]
    (folder / "dataset.json").write_text(json.dumps(facts))
    (provenance,) = read_label_set(folder).provenance
    assert provenance.name == "set"
