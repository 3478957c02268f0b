"""Projects in folders that cannot be written: a copy of one's own, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from napari_nucbudget.errors import OutputError, ProjectLockedError
from napari_nucbudget.project import bring_back, open_project, own_copy

Forbidden = tuple[Path, Callable[[], AbstractContextManager[None]]]


def test_a_project_in_a_forbidden_folder_goes_on_in_the_users_own(forbidden: Forbidden) -> None:
    folder, unwritable = forbidden
    image = folder / "slide.tif"
    image.write_bytes(b"II*\0 pixels")
    path = folder / "study.nucbudget"
    with open_project(path) as store:
        store.add_image((100, 100), path=image)
        store.add(1, (1, 1))
    path.chmod(0o644)
    before = path.read_bytes()
    with unwritable():
        with open_project(path) as store:
            assert store.path.parent != folder
            assert f"{folder} cannot be written" in store.notices[0]
            assert str(store.path) in store.notices[0]
            assert store.image_file(1) == ("found", image)
            store.add(1, (2, 2))
        with open_project(path) as store:
            assert "goes on in" in store.notices[0]
            assert len(store.nuclei(1)) == 2
        with open_project(path, read_only=True) as reader:
            assert len(reader.nuclei(1)) == 1
    assert path.read_bytes() == before


def test_a_new_project_in_a_forbidden_folder_is_started_in_the_users_own(
    forbidden: Forbidden,
) -> None:
    folder, unwritable = forbidden
    with unwritable(), open_project(folder / "new.nucbudget") as store:
        assert store.path.parent != folder
        assert store.add_image((10, 10), name="a") == 1
    assert list(folder.iterdir()) == []


def test_the_copy_of_a_forbidden_folder_is_found_and_brought_back_once_it_can_be_written(
    forbidden: Forbidden,
) -> None:
    folder, unwritable = forbidden
    path = folder / "study.nucbudget"
    with open_project(path) as store:
        store.add_image((100, 100), name="a")
        store.add(1, (1, 1))
        assert store.left_copy is None
    path.chmod(0o644)
    with unwritable(), open_project(path) as store:
        store.add(1, (2, 2))
    with open_project(path) as store:
        assert store.left_copy == own_copy(path)
        assert f"this project went on in {own_copy(path)}" in store.notices[0]
        store.add(1, (3, 3))
        with pytest.raises(ProjectLockedError):
            bring_back(path)
    told = bring_back(path)
    aside = folder / told.split("kept as ")[1].rstrip(".")
    with open_project(path) as store:
        assert store.left_copy is None
        assert store.nuclei(1).yx.tolist() == [[1, 1], [2, 2]]
    with open_project(aside) as store:
        assert store.nuclei(1).yx.tolist() == [[1, 1], [3, 3]]


def test_a_project_begun_in_a_forbidden_folder_comes_into_it_once_it_can_be_written(
    forbidden: Forbidden,
) -> None:
    folder, unwritable = forbidden
    path = folder / "new.nucbudget"
    with unwritable(), open_project(path) as store:
        store.add_image((10, 10), name="a")
        store.add(1, (1, 1))
    with open_project(path) as store:
        assert store.path == path
        assert f"is in {path} again" in store.notices[0]
        assert len(store.nuclei(1)) == 1
    assert not own_copy(path).exists()


def test_a_copy_that_cannot_be_brought_back_stays_where_it_is(forbidden: Forbidden) -> None:
    folder, unwritable = forbidden
    path = folder / "study.nucbudget"
    with unwritable():
        with open_project(path) as store:
            store.add_image((10, 10), name="a")
        with pytest.raises(OutputError):
            bring_back(path)
        with open_project(path) as store:
            assert len(store.images) == 1
    with open_project(path) as store:
        assert store.path == path
        assert len(store.images) == 1


def test_a_project_that_somebody_writes_to_is_not_copied(forbidden: Forbidden) -> None:
    folder, unwritable = forbidden
    store = open_project(folder / "study.nucbudget")
    with store, unwritable(), pytest.raises(ProjectLockedError, match="open elsewhere"):
        open_project(store.path)


def test_nowhere_to_write_is_an_error(
    forbidden: Forbidden, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, unwritable = forbidden
    monkeypatch.setattr("napari_nucbudget.project.recovery.data_folder", lambda: folder / "data")
    with unwritable(), pytest.raises(OutputError, match="neither can"):
        open_project(folder / "new.nucbudget")
