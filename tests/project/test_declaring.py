"""Images that move or change, and the class scheme."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_nucbudget.errors import ConfigError, PixelSizeError, ProjectError
from napari_nucbudget.project import ClassCount, ProjectStore, open_project
from napari_nucbudget.types.classes import NucleusClass
from napari_nucbudget.types.nuclei import Nuclei

Opened = Callable[..., ProjectStore]
AWKWARD = "a, \"b\"; c\nd\t'e' ø%"


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "slides" / "one.tif"
    path.parent.mkdir()
    path.write_bytes(b"II*\0 one" * 1000)
    return path


def test_an_image_is_known_by_its_file_however_it_is_called(
    store: ProjectStore, slide: Path, tmp_path: Path
) -> None:
    id = store.add_image((50, 50), path=slide, mpp=0.5)
    assert store.add_image((50, 50), path=slide) == id
    assert store.add_image((2000, 3000), name="slide") == 1
    image = store.image(id)
    assert (image.name, image.path, image.mpp) == ("one.tif", "slides/one.tif", 0.5)
    other = tmp_path / "one.tif"
    other.write_bytes(b"II*\0 two" * 1000)
    assert store.image(store.add_image((50, 50), path=other)).name == "one.tif (2)"


def test_images_that_begin_alike_are_told_apart_while_both_are_there(
    store: ProjectStore, tmp_path: Path
) -> None:
    """As uncompressed scans with a white margin."""
    margin = b"\xff" * (2 << 20)
    files = [tmp_path / f"{name}.tif" for name in "ab"]
    for number, file in enumerate(files):
        file.write_bytes(margin + bytes([number]) * 1000)
    ids = [store.add_image((50, 50), path=file) for file in files]
    assert len(set(ids)) == 2
    assert [store.add_image((50, 50), path=file) for file in files] == ids
    copy = tmp_path / "copy.tif"
    copy.write_bytes(files[1].read_bytes())
    assert store.add_image((50, 50), path=copy) == ids[1]
    (tmp_path / "moved").mkdir()
    moved = [file.rename(tmp_path / "moved" / file.name) for file in files]
    assert [store.add_image((50, 50), path=file) for file in moved] == ids


def test_a_project_that_moves_with_its_images_finds_them(
    store: ProjectStore, slide: Path, tmp_path: Path
) -> None:
    id = store.add_image((50, 50), path=slide)
    store.close()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    slide.parent.rename(moved / "slides")
    store.path.rename(moved / store.path.name)
    with open_project(moved / store.path.name) as again:
        assert again.image_file(id) == ("found", moved / "slides" / "one.tif")


def test_a_project_that_moves_alone_finds_images_where_they_were(
    store: ProjectStore, slide: Path, tmp_path: Path
) -> None:
    id = store.add_image((50, 50), path=slide)
    store.close()
    (tmp_path / "elsewhere").mkdir()
    path = store.path.rename(tmp_path / "elsewhere" / store.path.name)
    with open_project(path) as again:
        assert again.image_file(id) == ("found", slide)


def test_an_image_that_moved_is_missing_until_it_is_relinked(
    store: ProjectStore, slide: Path, tmp_path: Path, opened: Opened
) -> None:
    id = store.add_image((50, 50), path=slide)
    moved = slide.rename(tmp_path / "renamed.tif")
    assert store.image_file(id) == ("missing", None)
    slide.write_bytes(b"II*\0 not the same" * 1000)
    assert store.image_file(id) == ("changed", slide)
    with pytest.raises(ProjectError, match=r"is not the image 'one\.tif' of this project"):
        store.relink(id, slide)
    with pytest.raises(ProjectError, match="cannot be read"):
        store.relink(id, tmp_path / "absent.tif")
    assert store.relink(id, moved).path == "renamed.tif"
    store.close()
    again = opened()
    assert again.image_file(id) == ("found", moved)
    again.relink(id, slide, accept_changed=True)
    assert again.image_file(id) == ("found", slide)


def test_an_image_without_a_file_has_none(store: ProjectStore) -> None:
    assert store.image_file(1) == ("none", None)


def test_what_an_image_is_can_be_corrected(store: ProjectStore, opened: Opened) -> None:
    store.describe_image(1, mpp=0.5, patient="P1", tissue="colon", split="test")
    with pytest.raises(ProjectError, match="no split 'tests'"):
        store.describe_image(1, split="tests")
    with pytest.raises(PixelSizeError):
        store.describe_image(1, mpp=500)
    store.close()
    image = opened().image(1)
    assert (image.mpp, image.patient, image.tissue, image.split) == (0.5, "P1", "colon", "test")


def test_a_renamed_class_keeps_its_nuclei(store: ProjectStore, opened: Opened) -> None:
    store.add(1, (1, 1), "epithelial")
    store.edit_class("epithelial", new_name=AWKWARD, color="#010203")
    assert store.undo_label == f"rename class epithelial to {AWKWARD}"
    store.close()
    again = opened()
    assert again.classes.classes[0] == NucleusClass(AWKWARD, "#010203", "Q")
    assert again.counts()[AWKWARD] == ClassCount(0, 1)
    again.undo()
    assert again.counts()["epithelial"] == ClassCount(0, 1)


def test_a_class_added_later_has_no_probability_in_older_proposals(
    store: ProjectStore, proposals: Nuclei, opened: Opened
) -> None:
    store.add_proposals(1, proposals)
    store.add_class(NucleusClass("mitosis", "#ffffff", "R"))
    for project in (store, opened):
        if callable(project):
            store.close()
            project = project()
        prob = project.nuclei(1).prob
        assert prob is not None
        assert prob.shape == (40, 4)
        assert prob[:, :3].tolist() == proposals.prob.tolist()  # type: ignore[union-attr]
        assert (prob[:, 3] == 0).all()


def test_a_class_with_nuclei_goes_only_into_another(store: ProjectStore) -> None:
    store.add(1, (1, 1), "epithelial")
    with pytest.raises(ProjectError, match=r"has 1 nuclei\. Say which class"):
        store.remove_class("epithelial")
    with pytest.raises(ConfigError, match="cannot go into the class that goes"):
        store.remove_class("epithelial", into="epithelial")
    store.remove_class("epithelial", into="inflammatory")
    assert store.classes.names == ("inflammatory", "miscellaneous")
    assert store.nuclei(1).counts() == {"inflammatory": 1, "miscellaneous": 0}
    store.undo()
    assert store.nuclei(1).counts()["epithelial"] == 1


def test_the_order_of_classes_does_not_touch_nuclei(store: ProjectStore) -> None:
    store.add(1, (1, 1), "epithelial")
    store.order_classes(["miscellaneous", "epithelial", "inflammatory"])
    assert store.nuclei(1).label.tolist() == [1]
    assert store.nuclei(1).counts()["epithelial"] == 1


@pytest.mark.parametrize("name", ["", "unlabelled", "inflammatory"])
def test_a_name_that_cannot_be_a_class_is_refused(store: ProjectStore, name: str) -> None:
    before = store.classes
    with pytest.raises(ConfigError):
        store.add_class(NucleusClass(name, "#ffffff"))
    with pytest.raises(ConfigError):
        store.edit_class("epithelial", new_name=name)
    assert store.classes == before


def test_a_class_that_is_not_there_is_answered_with_near_misses(store: ProjectStore) -> None:
    with pytest.raises(ConfigError, match=r"'epithelal'.*Did you mean 'epithelial'"):
        store.edit_class("epithelal", color="#ffffff")
    with pytest.raises(ConfigError, match="no class that could be changed"):
        store.remove_class("")
    with pytest.raises(ConfigError, match="each class once"):
        store.order_classes(["epithelial"])
