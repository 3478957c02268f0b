"""The code blocks of README.md run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from napari_nucbudget.models.library import list_models, load_card

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
    assert "nuclei-fcn" in done.stdout


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


def test_the_figures_are_those_of_the_model_cards() -> None:
    module = figures()
    cards = [load_card(name) for name in list_models()]
    assert module.with_table(README, module.table(cards)) == README
