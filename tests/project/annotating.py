"""A process that annotates at random until it is killed: ``annotating.py PROJECT SEED REPORT``.

After each edit has returned, one line goes to REPORT: how many edits the project has had, and
a checksum of what it holds.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np

from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.nuclei import Nuclei

SIDE = 5000


def edits(store: ProjectStore) -> int:
    """Number of rows of the journal, undo and redo included."""
    ((count,),) = store.select("SELECT count(*) FROM edits")
    return int(count)


def checksum(store: ProjectStore) -> int:
    """Of places, classes and statuses of all nuclei, and of the fields."""
    total = 0
    for image in store.images:
        for which in ("proposed", "human", "rejected"):
            found = store.nuclei(image.id, which=which)
            for column in (found.id, found.yx, found.score, found.label):
                total = zlib.crc32(column.tobytes(), total)
    return zlib.crc32(repr(store.fields()).encode(), total)


def edit(store: ProjectStore, rng: np.random.Generator) -> None:
    """One random edit, of any size."""
    some = rng.choice(store.nuclei(1).id, rng.integers(1, 40))
    yx = rng.uniform(0, SIDE - 1, (rng.integers(1, 40), 2))
    run = Nuclei.from_points(yx, score=rng.random(len(yx)), origin="fcn")
    choices = (
        lambda: store.add(1, yx, "epithelial"),
        lambda: store.move(some[0], yx[0]),
        lambda: store.delete(some[:3]),
        lambda: store.relabel(some, "inflammatory"),
        lambda: store.accept(some),
        lambda: store.reject(some[:5]),
        lambda: store.insert(1, run),
        lambda: store.accept_all(1, min_score=0.99),
        lambda: store.undo(),
        lambda: store.redo(),
    )
    choices[rng.integers(len(choices))]()


def main() -> None:
    path, seed, report = sys.argv[1:]
    rng = np.random.default_rng(int(seed))
    with open_project(path, annotator="child") as store, Path(report).open("a") as lines:
        while True:
            edit(store, rng)
            lines.write(f"{edits(store)} {checksum(store)}\n")
            lines.flush()


if __name__ == "__main__":
    main()
