"""Errors, public names, registries, and what importing the package must not cost."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import napari_nucbudget
from napari_nucbudget import errors
from napari_nucbudget.errors import NucbudgetError, UnknownNameError
from napari_nucbudget.nets import DETECTORS
from napari_nucbudget.registry import Registry, near_misses

ERRORS = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
LAYERS = ("types", "core", "nets", "io", "project", "models", "infer", "learn")


def test_every_error_is_public() -> None:
    assert sorted(c.__name__ for c in ERRORS) == sorted(errors.__all__)


@pytest.mark.parametrize("error", ERRORS)
def test_no_error_is_one_that_qt_workers_swallow(error: type[Exception]) -> None:
    assert issubclass(error, NucbudgetError)
    assert not issubclass(error, (RuntimeError, StopIteration))
    assert error.__doc__


@pytest.mark.parametrize("error", ERRORS)
def test_the_drawn_tree_of_errors_names_each(error: type[Exception]) -> None:
    assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("error", ERRORS)
def test_a_message_is_shown_as_it_was_written(error: type[Exception]) -> None:
    assert str(error("The file 'a' is empty.")) == "The file 'a' is empty."


@pytest.mark.parametrize("name", napari_nucbudget.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(napari_nucbudget, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'detekt'"):
        _ = napari_nucbudget.detekt  # type: ignore[attr-defined]


def modules() -> list[str]:
    found = []
    for layer in LAYERS:
        package = importlib.import_module(f"napari_nucbudget.{layer}")
        found += [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [name for name in found if not name.endswith("__main__")]


@pytest.mark.parametrize("module", modules())
def test_what_a_module_lists_as_public_is_there(module: str) -> None:
    loaded = importlib.import_module(module)
    if inspect.getfile(loaded).endswith("__init__.py"):
        return
    assert loaded.__doc__
    for name in loaded.__all__:
        assert hasattr(loaded, name)


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_nucbudget",
        "import napari_nucbudget.types.nuclei, napari_nucbudget.types.labels",
        "import napari_nucbudget.project",
        "import napari_nucbudget.io.images, napari_nucbudget.io.label_sets",
        "from napari_nucbudget import Nuclei, open_image, list_models",
    ],
)
def test_what_the_viewer_touches_at_start_loads_nothing_heavy(statement: str) -> None:
    heavy = "{'torch', 'napari', 'pandas', 'dask', 'zarr', 'qtpy'}"
    code = f"{statement}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_registry_imports_nothing_until_a_name_is_looked_up() -> None:
    registry = Registry("thing", {"absent": "no.such.module:thing", "pi": "math:pi"})
    assert list(registry) == ["absent", "pi"]
    assert "absent" in registry
    assert len(registry) == 2
    assert registry["pi"] == pytest.approx(3.14159, abs=1e-4)


def test_an_unknown_name_is_answered_with_near_misses() -> None:
    registry = Registry("thing", {"sphere": "math:pi", "square": "math:e"})
    with pytest.raises(UnknownNameError, match=r"no thing named 'spere'. Did you mean 'sphere'"):
        registry["spere"]
    with pytest.raises(UnknownNameError, match=r"no thing named 'xyz'. Known: sphere, square\."):
        registry["xyz"]
    assert "xyz" not in registry
    assert registry.get("xyz") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [("fcm", "Did you mean 'fcn'"), ("qq", "Known: fcn"), ("fc", "Did you mean 'fcn'")],
)
def test_near_misses_are_close_names_or_all(name: str, words: str) -> None:
    assert near_misses(name, ["fcn"]).startswith(words)
    assert near_misses(name, []) == "Known: none."


@pytest.mark.parametrize("name", list(DETECTORS))
def test_every_registered_network_can_be_imported(name: str) -> None:
    assert inspect.isclass(DETECTORS[name])
