"""Label set folders: a round trip, and every way in which one can be wrong."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_nucbudget.errors import LabelSetError, OutputError
from napari_nucbudget.io.label_hashes import content_hash
from napari_nucbudget.io.label_sets import read_label_set, read_label_sets, write_label_set
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei


def labelled(name: str = "a", *, seed: int = 0, **changes: Any) -> AnnotatedImage:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
    nuclei = Nuclei.from_points(
        rng.uniform(0, 29, (6, 2)), label=rng.integers(-1, 3, 6), classes=DEFAULT_CLASSES
    )
    image = AnnotatedImage(
        source=ArraySource(pixels, mpp=0.5, name=name),
        nuclei=nuclei,
        fields=(Region(0, 0, 30, 40),),
        patient="p1",
        tissue="colon",
        origin=Provenance("set"),
    )
    return replace(image, **changes)


def label_set(*images: AnnotatedImage) -> LabelSet:
    about = Provenance("set", licence="CC0", cite="Nobody 2020", notes="drawn")
    return LabelSet(images or (labelled(),), DEFAULT_CLASSES, (about,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound folder of two images, to be spoilt in one way at a time."""
    both = label_set(labelled("a"), labelled("b", seed=1, split="test"))
    return write_label_set(both, tmp_path / "set")


def edit_json(path: Path, **changes: Any) -> None:
    facts = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in facts.items() if v is not ...}))


def edit_table(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path)).to_csv(path, index=False)


def test_writing_and_reading_gives_the_same_label_set(tmp_path: Path) -> None:
    one = labelled("a", fields=(Region(0, 0, 10, 40), Region(20, 5, 10, 30)), split="validation")
    two = labelled("b#2", seed=1, fields=(), patient="NA", tissue="prostate")
    back = read_label_set(write_label_set(label_set(one, two), tmp_path / "set"))
    assert back.provenance == label_set().provenance
    assert back.classes == DEFAULT_CLASSES
    for old, new in zip((one, two), back, strict=True):
        assert new.name == old.name
        assert new.fields == old.fields
        assert (new.patient, new.tissue, new.split) == (old.patient, old.tissue, old.split)
        assert new.mpp == old.mpp
        whole = Region.whole(old.source.shape)
        assert np.array_equal(new.source.read(whole), old.source.read(whole))
        assert np.array_equal(new.nuclei.yx, old.nuclei.yx)
        assert np.array_equal(new.nuclei.label, old.nuclei.label)


def test_a_scheme_of_ones_own_survives(tmp_path: Path) -> None:
    scheme = ClassScheme((NucleusClass("mitosis", "#ff0000", "M"),))
    nuclei = Nuclei.from_points([[3.0, 4.0]], label=0, classes=scheme)
    labels = LabelSet((labelled(nuclei=nuclei),), scheme)
    back = read_label_set(write_label_set(labels, tmp_path / "set"))
    assert back.classes == scheme
    assert back.images[0].nuclei.label.tolist() == [0]


def test_the_content_hash_survives_the_round_trip_and_sees_a_moved_dot(folder: Path) -> None:
    back = read_label_set(folder)
    assert content_hash(list(back)) == content_hash(
        [labelled("b", seed=1, split="test"), labelled("a")]
    )
    moved = replace(back.images[0], nuclei=back.images[0].nuclei.shifted(0.5, 0))
    assert content_hash([moved]) != content_hash([back.images[0]])


def test_only_the_wanted_splits_are_read(folder: Path) -> None:
    assert [i.name for i in read_label_set(folder, splits=("test",))] == ["b"]
    with pytest.raises(LabelSetError, match="holds no image in the split validation"):
        read_label_set(folder, splits=("validation",))


def test_dots_without_a_label_column_have_no_class(folder: Path) -> None:
    edit_table(folder / "points.csv", lambda t: t.drop(columns="label"))
    assert set(read_label_set(folder).images[0].nuclei.label) == {-1}


def test_lines_of_comment_before_a_table_are_skipped(folder: Path) -> None:
    path = folder / "points.csv"
    path.write_text("# drawn by hand\n# twice\n" + path.read_text())
    assert read_label_set(folder).nuclei_count == 12


def test_exact_duplicates_count_once_and_are_reported(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = read_label_set(folder)
    assert caplog.text == ""
    edit_table(folder / "points.csv", lambda t: pd.concat([t, t.iloc[:3]]))
    after = read_label_set(folder)
    assert content_hash(list(after)) == content_hash(list(before))
    assert "points.csv: 3 dots are listed twice and count once: a at x=" in caplog.text


def test_dots_within_half_a_pixel_of_the_edge_are_inside(folder: Path) -> None:
    def put_on_the_edge(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[0, ["y", "x"]] = [-0.5, 39.4]
        return table

    edit_table(folder / "points.csv", put_on_the_edge)
    assert read_label_set(folder).images[0].nuclei.yx[0].tolist() == pytest.approx([-0.5, 39.4])


@pytest.mark.parametrize("name", ["dataset.json", "images.csv", "points.csv"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(LabelSetError, match=f"is not a label set folder: it has no {name}"):
        read_label_set(folder)


@pytest.mark.parametrize("name", ["dataset.json", "images.csv", "points.csv"])
def test_an_empty_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("")
    with pytest.raises(LabelSetError, match=f"{name} cannot be read"):
        read_label_set(folder)


@pytest.mark.parametrize("name", ["dataset.json", "images.csv", "points.csv"])
def test_bytes_that_are_no_text_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(LabelSetError, match=f"{name} cannot be read"):
        read_label_set(folder)


def test_an_absent_folder_is_no_label_set(tmp_path: Path) -> None:
    with pytest.raises(LabelSetError, match="is not a label set folder"):
        read_label_set(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "column"), [("images.csv", "image"), ("points.csv", "x"), ("points.csv", "y")]
)
def test_a_missing_column_is_named(folder: Path, name: str, column: str) -> None:
    edit_table(folder / name, lambda t: t.drop(columns=column))
    with pytest.raises(LabelSetError, match=f"{name} has no column {column}; its columns are"):
        read_label_set(folder)


def spoil(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[0, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("points.csv", spoil("x", 40.0), r"1 dots lie outside the image a of 30 x 40 px"),
        ("points.csv", spoil("y", -0.6), r"1 dots lie outside the image a"),
        ("points.csv", spoil("x", "three"), r"image a: A coordinate, score or id is not a number"),
        ("points.csv", spoil("x", ""), r"image a: A coordinate, score or id is not a number"),
        ("points.csv", spoil("y", "nan"), r"image a: .*not (a )?number"),
        ("points.csv", spoil("label", "epithelail"), r"Did you mean 'epithelial'"),
        ("points.csv", spoil("image", "zzz"), r"images\.csv does not list: zzz"),
        ("images.csv", spoil("split", "tset"), r"the split of a is 'tset'; it must be one of"),
        ("images.csv", spoil("split", ""), r"the split of a is ''; it must be one of"),
        ("images.csv", spoil("image", "zzz"), r"images\.csv does not list: a"),
        ("images.csv", lambda t: pd.concat([t, t]), r"lists images twice: a, b"),
        ("images.csv", lambda t: t.iloc[:0], r"images\.csv does not list: a, b"),
    ],
)
def test_a_wrong_row_is_refused_with_words(
    folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    edit_table(folder / name, change)
    with pytest.raises(LabelSetError, match=words):
        read_label_set(folder)


def test_a_missing_image_is_named(folder: Path) -> None:
    (folder / "images" / "b.png").unlink()
    with pytest.raises(LabelSetError, match=r"lists b: .*b\.png cannot be opened: No such file"):
        read_label_set(folder)


def test_a_grey_image_is_refused(folder: Path) -> None:
    Image.new("L", (40, 30)).save(folder / "images" / "a.png")
    with pytest.raises(LabelSetError, match=r"lists a: .*has one channel"):
        read_label_set(folder)


@pytest.mark.parametrize("mpp", [..., None, "0.5", True, -1, 0, 5000, float("nan")])
def test_a_pixel_size_that_is_absent_or_absurd_is_refused(folder: Path, mpp: object) -> None:
    edit_json(folder / "dataset.json", mpp=mpp)
    with pytest.raises(LabelSetError, match=r"dataset\.json.*(must give the pixel size|plausible)"):
        read_label_set(folder)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([[0, 0, 5, 5]], '"fields" must map image names to rectangles'),
        ({"zzz": [[0, 0, 5, 5]]}, r"fields for images that images\.csv does not list: zzz"),
        ({"a": [[0, 0, 5]]}, r"image a: fields must be lists of \[y, x, height, width\]"),
        ({"a": "all"}, r"fields must be lists of"),
        ({"a": 3}, r"fields must be lists of"),
        ({"a": [[100, 100, 5, 5]]}, r"image a: The region y=100, x=100.*does not overlap"),
        ({"a": [[0, 0, 0, 5]]}, r"image a: The region .*does not overlap"),
    ],
)
def test_wrong_fields_are_refused_with_words(folder: Path, fields: object, words: str) -> None:
    edit_json(folder / "dataset.json", fields=fields)
    with pytest.raises(LabelSetError, match=words):
        read_label_set(folder)


def test_a_field_is_cut_at_the_edge_of_its_image(folder: Path) -> None:
    edit_json(folder / "dataset.json", fields={"a": [[20, 30, 50, 50]]})
    labels = read_label_set(folder)
    assert labels.images[0].fields == (Region(20, 30, 10, 10),)
    assert labels.images[1].fields == (Region(0, 0, 30, 40),)


@pytest.mark.parametrize(
    "classes",
    [
        "epithelial",
        [{"name": "a"}],
        [{"name": "a", "color": "red"}, {"name": "a", "color": "blue"}],
        [{"name": "unlabelled", "color": "red"}],
        [{"name": "a", "colour": "red"}],
    ],
)
def test_wrong_classes_are_refused(folder: Path, classes: object) -> None:
    edit_json(folder / "dataset.json", classes=classes)
    with pytest.raises(LabelSetError, match=r'"classes" must be a list of'):
        read_label_set(folder)


def test_a_dataset_json_that_is_a_list_is_refused(folder: Path) -> None:
    (folder / "dataset.json").write_text("[]")
    with pytest.raises(LabelSetError, match="must hold one JSON object"):
        read_label_set(folder)


def test_several_folders_are_one_label_set(folder: Path, tmp_path: Path) -> None:
    other = write_label_set(label_set(labelled("c", seed=2)), tmp_path / "other")
    both = read_label_sets([folder, other])
    assert [(i.dataset, i.name) for i in both] == [("set", "a"), ("set", "b"), ("other", "c")]
    assert [i.name for i in read_label_sets([folder, other], splits=("test",))] == ["b"]
    with pytest.raises(LabelSetError, match=r"None of .* holds an image in the split validation"):
        read_label_sets([folder, other], splits=("validation",))


def test_an_existing_folder_is_never_touched(folder: Path) -> None:
    before = sorted(p.name for p in folder.rglob("*"))
    with pytest.raises(OutputError, match=r"exists already.*nothing was changed"):
        write_label_set(label_set(), folder)
    assert sorted(p.name for p in folder.rglob("*")) == before


def test_images_of_one_name_are_refused_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"must differ from the others.*: 'a'\."):
        write_label_set(label_set(labelled("a"), labelled("a", seed=1)), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "b/a", "", "."])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="become file names"):
        write_label_set(label_set(labelled(name)), tmp_path / "set")


def test_images_of_several_pixel_sizes_are_refused(tmp_path: Path) -> None:
    other = ArraySource(np.zeros((30, 40, 3), np.uint8), mpp=0.25, name="b")
    with pytest.raises(OutputError, match=r"one pixel size, got images of \[0\.25, 0\.5\]"):
        write_label_set(label_set(labelled(), labelled("b", source=other)), tmp_path / "set")


@pytest.mark.parametrize("image_that_fails", [1, 2])
def test_a_full_disk_midway_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_that_fails: int
) -> None:
    save = Image.Image.save
    saved: list[Path] = []

    def save_until_full(self: Image.Image, path: Path, *args: Any) -> None:
        saved.append(path)
        if len(saved) == image_that_fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, path, *args)

    monkeypatch.setattr(Image.Image, "save", save_until_full)
    with pytest.raises(OutputError, match=r"set cannot be written: No space left on device"):
        write_label_set(label_set(labelled("a"), labelled("b")), tmp_path / "set")
    assert len(saved) == image_that_fails
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_cannot_be_read_midway_leaves_nothing_either(tmp_path: Path) -> None:
    pixels = np.full((30, 40, 3), np.nan, np.float32)
    broken = labelled("b", source=ArraySource(pixels, mpp=0.5, name="b"))
    with pytest.raises(Exception, match="not numbers"):
        write_label_set(label_set(labelled("a"), broken), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written: Not a directory"):
        write_label_set(label_set(), tmp_path / "file" / "set")


@pytest.mark.data
def test_the_real_set_with_duplicate_and_contradicting_dots_is_read(
    nucbudget_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = read_label_set(nucbudget_data / "colon", splits=("train", "test"))
    assert "7 dots are listed twice and count once: img12 at x=27.25, y=325.88" in caplog.text
    assert (
        "2 nuclei have dots of different classes within 0.5 µm and count as without class: "
        "img12 at x=27.25, y=325.88; img8 at x=41.94, y=329.02."
    ) in caplog.text
    (image,) = [i for i in labels if i.name == "img8"]
    place = np.abs(image.nuclei.yx - (329.02, 41.94)).max(axis=1) < 0.01
    assert image.nuclei.label[place].tolist() == [-1]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "images", "nuclei"), [("colon", 75, 20_980), ("prostate", 5, 1_922)]
)
def test_real_folders_are_read_whole(
    nucbudget_data: Path, name: str, images: int, nuclei: int
) -> None:
    """colon has 20,987 dots, of which 7 are exact duplicates and are dropped."""
    labels = read_label_set(nucbudget_data / name)
    assert (len(labels), labels.nuclei_count) == (images, nuclei)


def test_a_byte_order_mark_is_no_obstacle(folder: Path) -> None:
    path = folder / "dataset.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert len(read_label_set(folder))


def test_a_comma_too_many_moves_no_column_and_a_value_too_many_is_refused(folder: Path) -> None:
    path = folder / "points.csv"
    before = read_label_set(folder)
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *(row + "," for row in rows)]) + "\n")
    assert content_hash(list(read_label_set(folder))) == content_hash(list(before))
    path.write_text("\n".join([head, *(row + ",1" for row in rows)]) + "\n")
    with pytest.raises(LabelSetError, match="more values than its first line names columns"):
        read_label_set(folder)
