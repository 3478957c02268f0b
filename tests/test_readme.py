"""The code blocks of README.md run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from napari_nucbudget.models.library import DEFAULT_DETECTOR, load_card, shipped_models
from napari_nucbudget.types.card import ModelCard, ScoreRecord

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
NOT_RUN = ("# setup\n", "# needs your own labels\n")
"""First lines of the blocks that make the environment or need data of the reader's."""


def blocks(language: str) -> list[str]:
    return [code for kind, code in BLOCKS if kind == language and not code.startswith(NOT_RUN)]


def figures() -> ModuleType:
    spec = spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the sample data beside it, as in the checkout."""
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data", target_is_directory=True)
    return tmp_path


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
@pytest.mark.parametrize("code", blocks("bash"))
def test_every_command_of_the_tour_runs(code: str, folder: Path) -> None:
    done = run(["bash", "-euo", "pipefail", "-c", code], folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "nuclei.csv").stat().st_size > 1_000
    assert (folder / "nuclei.png").read_bytes().startswith(b"\x89PNG")
    assert DEFAULT_DETECTOR in done.stdout


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_of_the_tour_runs(code: str, folder: Path) -> None:
    done = run([sys.executable, "-W", "error", "-c", code], folder)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout.split()[0])
    assert count > 0


def test_the_tour_has_blocks_of_both_kinds() -> None:
    assert blocks("bash")
    assert blocks("python")


def test_both_setup_commands_are_named() -> None:
    setup = "".join(code for _, code in BLOCKS if code.startswith("# setup\n"))
    assert "make demo\n" in setup
    assert "make test\n" in setup


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_detectors_and_classifiers_get_a_table_each(card_with: Callable[..., ModelCard]) -> None:
    shared = {"data": "d", "split": "test", "images": 2, "nuclei": 3000, "mpp": 0.55}
    typed = ScoreRecord(
        **shared,
        metrics={"accuracy": 0.8, "macro_f1": 0.7, "weighted_f1": 0.75, "ece": 0.02},
        weighted_f1_ci=(0.7, 0.8),
        class_f1={"a": 0.9, "b": 0.5},
    )
    found = ScoreRecord(
        **shared,
        metrics={"f1": 0.6, "precision": 0.5, "recall": 0.7, "best_f1": 0.65, "aupr": 0.66},
        radius_um=3.3,
    )
    seen = typed.model_copy(update={"split": "validation"})
    cards = [
        card_with(name="finds", scores=[found]),
        card_with(name="types", task="classification", scores=[seen, typed]),
    ]
    module = figures()
    written = module.with_tables(README, cards)
    assert written.count("| `finds` |") == 1
    assert (
        "| `types` | d, test | 2 | 3,000 | 0.750 (0.700 to 0.800) | 0.700 | 0.800 "
        "| a 0.900, b 0.500 | 0.020 |\n"
    ) in written
    assert written.count("| `types` |") == 1
    assert module.with_tables(written, [load_card(name) for name in shipped_models()]) == README


def test_the_figures_are_those_of_the_model_cards() -> None:
    module = figures()
    cards = [load_card(name) for name in shipped_models()]
    assert module.with_tables(README, cards) == README
