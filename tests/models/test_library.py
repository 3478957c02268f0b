"""Models by name and by folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_nucbudget.errors import ModelError, UnknownNameError
from napari_nucbudget.models import library
from napari_nucbudget.models.library import list_models, load_card, load_detector, model_folder


@pytest.fixture
def two_shipped(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shipped = dict.fromkeys(("colon-fcn", "nuclei-fast", "nuclei-fcn"), tiny_model)
    monkeypatch.setattr(library, "shipped_models", lambda: shipped)
    return tiny_model


def test_a_shipped_model_is_found_by_its_name(two_shipped: Path) -> None:
    assert model_folder("colon-fcn") == two_shipped
    assert load_card("nuclei-fcn").name == "tiny"
    assert load_detector(device="cpu").card.name == "tiny"


def test_a_folder_is_found_by_its_path(tiny_model: Path) -> None:
    assert load_detector(tiny_model, device="cpu").card.name == "tiny"
    assert model_folder(str(tiny_model)) == tiny_model


@pytest.mark.usefixtures("two_shipped")
@pytest.mark.parametrize("name", ["nuclei-fnc", "nuclei_fcn", "Nuclei-FCN"])
def test_an_unknown_name_is_answered_with_near_misses(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no model named '{name}'.*Did you mean 'nuclei-fc"):
        load_detector(name)


@pytest.mark.usefixtures("two_shipped")
def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UnknownNameError, match=r"Known: colon-fcn, nuclei-fast, nuclei-fcn\."):
        load_detector("xyz")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models, empty."""
    monkeypatch.setenv("NUCBUDGET_MODELS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_whatever_is_listed_is_found_by_that_name(tiny_model: Path, kept: Path) -> None:
    """A copy is called as its folder, whatever name its card has."""
    shutil.copytree(tiny_model, kept / "copy")
    assert list_models()["copy"] == kept / "copy"
    assert [model_folder(name) for name in list_models()] == list(list_models().values())


def test_a_folder_that_cannot_be_named_is_left_out_and_that_is_said(
    tiny_model: Path, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(tiny_model, kept / "with space")
    shutil.copytree(tiny_model, kept / ".mine.0a1b2c3d.part")  # is being written
    assert not set(list_models()) & {"with space", ".mine.0a1b2c3d.part"}
    (said,) = caplog.messages
    assert "with space cannot be named, and is left out. Rename it: use up to 64" in said
    with pytest.raises(UnknownNameError, match=r"no model named 'with space'.*Known: "):
        model_folder("with space")


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder: it has no card\.json"):
        load_detector(tmp_path)


def test_a_path_that_does_not_exist_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a model folder"):
        load_detector(tmp_path / "absent")
