"""Projects in temporary folders, closed after the test."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.nuclei import Nuclei

SHAPE = (2000, 3000)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., ProjectStore]]:
    """Opens ``study.nucbudget``, or another path; all are closed at the end."""
    stores: list[ProjectStore] = []

    def open_one(path: Path | None = None, **options: object) -> ProjectStore:
        given: dict[str, object] = {"annotator": "Ann", **options}
        store = open_project(path or tmp_path / "study.nucbudget", **given)  # type: ignore[arg-type]
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., ProjectStore]) -> ProjectStore:
    """A new project with one image, id 1, without a file."""
    project = opened()
    project.add_image(SHAPE, name="slide", mpp=0.25)
    return project


@pytest.fixture
def proposals() -> Nuclei:
    """40 proposals of ``colon-fcn`` in four rows; score k / 40, class k % 3, probabilities."""
    k = np.arange(40)
    yx = np.stack([100 + 200 * (k // 10), 100 + 200 * (k % 10)], axis=1)
    prob = np.full((40, 3), 0.1)
    prob[k, k % 3] = 0.8
    return Nuclei.from_points(yx, score=k / 40, label=k % 3, prob=prob, origin="colon-fcn")


@pytest.fixture
def forbidden(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Path, Callable[[], AbstractContextManager[None]]]]:
    """A folder, and a context in which it cannot be written; the user's data folder can."""
    if sys.platform == "win32":
        pytest.skip("the permissions of POSIX are needed to forbid writing to a folder")
    with tempfile.TemporaryDirectory() as base:
        folder, data = Path(base) / "shared", Path(base) / "home"
        folder.mkdir()
        data.mkdir()
        data.chmod(0o777)
        Path(base).chmod(0o755)
        monkeypatch.setenv("XDG_DATA_HOME", str(data))
        monkeypatch.setattr("napari_nucbudget.project.recovery.data_folder", lambda: data)

        @contextmanager
        def unwritable() -> Iterator[None]:
            """Without the rights of root, which no permission stops."""
            user = os.geteuid()
            folder.chmod(0o555)
            if user == 0:
                os.seteuid(65534)
            try:
                yield
            finally:
                os.seteuid(user)
                folder.chmod(0o755)

        yield folder, unwritable
