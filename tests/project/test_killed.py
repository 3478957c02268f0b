"""Processes that are killed while they annotate: nothing that they reported is lost.

``NUCBUDGET_KILLS`` sets the number of kills (4).
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.nuclei import Nuclei
from tests.project import annotating

KILLS = int(os.environ.get("NUCBUDGET_KILLS", "4"))


@pytest.mark.timeout(60 + 10 * KILLS)
def test_every_reported_edit_is_there_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "study.nucbudget"
    rng = np.random.default_rng(0)
    with open_project(path) as store:
        store.add_image((annotating.SIDE, annotating.SIDE), name="slide")
        yx = rng.uniform(0, annotating.SIDE - 1, (3000, 2))
        store.add_proposals(1, Nuclei.from_points(yx, score=rng.random(3000), origin="fcn"))
    seen = 0
    for number in range(KILLS):
        report = tmp_path / f"{number}.txt"
        before = _state(path)
        child = subprocess.Popen(
            [sys.executable, annotating.__file__, path, str(number), report],
            stderr=subprocess.PIPE,
        )
        # A random moment: while it starts, backs up, opens or edits.
        with suppress(subprocess.TimeoutExpired):
            child.wait(rng.uniform(0.3, 2.5))
        child.kill()
        _, errors = child.communicate()
        assert not errors
        lines = report.read_text().split("\n") if report.exists() else []
        whole = lines[-2] if len(lines) > 1 else " ".join(map(str, before))
        seen += max(len(lines) - 1, 0)
        with open_project(path) as store:
            _check(store, *map(int, whole.split()))
    assert seen > KILLS  # the children did annotate


def _state(path: Path) -> tuple[int, int]:
    with open_project(path) as store:
        return annotating.edits(store), annotating.checksum(store)


def _check(store: ProjectStore, edits: int, checksum: int) -> None:
    """The project is as reported, but for one edit committed and not yet reported."""
    more = annotating.edits(store) - edits
    assert more in (0, 1)
    if more:
        ((kind,),) = store.select("SELECT kind FROM edits ORDER BY id DESC LIMIT 1")
        (store.redo if kind == "undo" else store.undo)()
    assert annotating.checksum(store) == checksum
