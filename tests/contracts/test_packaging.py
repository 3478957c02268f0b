"""What the distribution promises: names, entry points, licence, manifest."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from npe2 import PluginManifest

import napari_nucbudget
from napari_nucbudget.models.library import load_card, shipped_models

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "napari_nucbudget"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def required(names: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", name, maxsplit=1)[0].lower() for name in names}


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(PACKAGE / "napari.yaml")


def test_the_command_exists() -> None:
    value = PROJECT["scripts"]["nucbudget"]
    assert callable(EntryPoint("nucbudget", value, "console_scripts").load())


def test_the_manifest_entry_point_names_a_file_of_the_package() -> None:
    module, _, file = PROJECT["entry-points"]["napari.manifest"]["napari-nucbudget"].partition(":")
    assert module == "napari_nucbudget"
    assert (PACKAGE / file).is_file()


def test_the_manifest_has_the_name_of_the_distribution(manifest: PluginManifest) -> None:
    assert manifest.name == PROJECT["name"]


@pytest.mark.gui
def test_every_command_of_the_manifest_can_be_imported(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_the_manifest_at_the_top_is_the_one_of_the_package() -> None:
    top = ROOT / "napari.yaml"
    assert top.is_symlink()
    assert top.samefile(PACKAGE / "napari.yaml")


def test_the_base_installation_brings_neither_qt_nor_napari() -> None:
    base = required(PROJECT["dependencies"])
    assert not base & {"napari", "pyqt5", "pyqt6", "pyside2", "pyside6"}


def test_all_extras_of_the_design_are_there() -> None:
    assert {"gui", "slides", "cluster", "fast", "dev"} <= set(PROJECT["optional-dependencies"])


def test_every_dependency_of_the_environment_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    extras = PROJECT["optional-dependencies"]
    wanted = required(PROJECT["dependencies"] + extras["gui"] + extras["dev"])
    assert wanted <= required(pins)


def test_the_version_follows_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert napari_nucbudget.__version__ in re.findall(r"^## \[([^\]]+)\]", text, re.MULTILINE)


def test_the_licence_file_is_the_declared_one() -> None:
    assert PROJECT["license"] == "BSD-3-Clause"
    assert "Redistribution and use in source and binary forms" in (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("name", shipped_models())
def test_every_shipped_model_states_its_data_and_licence(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.training_data
    assert all(data.sha256 and data.licence != "unknown" for data in card.training_data)
    assert card.licence != "unknown"
