"""Times the project store with one and two million nuclei: ``make bench``.

First what is done once, then the median and the worst of repeated single edits, each committed
to disk. Wall time holds what the disk and other processes take; CPU time is this process alone.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.project import ProjectStore, open_project
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

SIDE = 100_000
"""Pixels along a side of the drawn slide: a million nuclei are 100 in a square of 1,000 px."""


def nuclei(count: int, rng: np.random.Generator) -> Nuclei:
    """Proposals of a detector and classifier, evenly spread."""
    return Nuclei.from_points(
        rng.uniform(0, SIDE - 1, (count, 2)),
        score=rng.random(count, np.float32),
        label=rng.integers(0, 3, count),
        prob=rng.dirichlet((1, 1, 1), count).astype(np.float32),
        origin="colon-fcn",
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of one call: wall time and CPU time."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - started) * 1000, (time.process_time() - cpu) * 1000


def show(name: str, work: Callable[[], object]) -> None:
    """Print what one call takes."""
    wall, cpu = timed(work)
    print(f"{name:24}{wall:12.0f}{'':12}{cpu:12.0f}")


def single_edits(store: ProjectStore, image: int, repeats: int) -> None:
    """Print median, worst and mean CPU time of each edit of one nucleus, and of a view."""
    rng = np.random.default_rng(1)
    known = store.nuclei(image).id
    picks: NDArray[np.int64] = rng.choice(known, repeats * 4, replace=False)
    at = rng.uniform(0, SIDE - 1, (repeats, 2))
    corners = rng.integers(0, SIDE - 20_000, (repeats, 2)).tolist()

    def square(i: int, side: int) -> Region:
        y, x = corners[i]
        return Region(y, x, side, side)

    rows: dict[str, Callable[[int], object]] = {
        "add": lambda i: store.add(image, at[i], "epithelial"),
        "move": lambda i: store.move(picks[i], at[i]),
        "relabel": lambda i: store.relabel(picks[repeats + i], "inflammatory"),
        "accept": lambda i: store.accept(picks[2 * repeats + i]),
        "delete": lambda i: store.delete(picks[3 * repeats + i]),
        "undo": lambda i: store.undo(),
        "redo": lambda i: store.redo(),
        "counts per class": lambda i: store.counts(image),
        "view of 2,000 px": lambda i: store.nuclei(image, square(i, 2_000)),
        "view of 20,000 px": lambda i: store.nuclei(image, square(i, 20_000)),
    }
    for name, work in rows.items():
        times = [timed(partial(work, i)) for i in range(repeats)]
        wall, cpu = zip(*times, strict=True)
        middle = statistics.median(wall), max(wall), statistics.fmean(cpu)
        print(f"{name:24}{middle[0]:12.2f}{middle[1]:12.2f}{middle[2]:12.2f}")


def bulk(path: Path, count: int, repeats: int) -> None:
    """Print what a project of `count` nuclei costs as a whole."""
    table = nuclei(count, np.random.default_rng(0))
    store = open_project(path)
    image = store.add_image((SIDE, SIDE), name="drawn slide", mpp=0.25)
    print(f"\n{count:,} nuclei")
    print(f"{'milliseconds':24}{'wall':>12}{'worst':>12}{'CPU':>12}")
    show("propose all", lambda: store.add_proposals(image, table))
    show("accept above 0.5", lambda: store.accept_all(image, min_score=0.5))
    show("undo that", store.undo)
    show("copy of all", lambda: store.nuclei(image))
    store.close()
    opened: list[ProjectStore] = []
    show("open, with backup", lambda: opened.append(open_project(path)))
    opened.pop().close()
    show("open, backup is there", lambda: opened.append(open_project(path)))
    single_edits(opened[0], image, repeats)
    opened[0].close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'file':24}{path.stat().st_size / 2**20:12.0f} MiB")
    print(f"{'memory, highest so far':24}{memory:12.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nuclei", type=int, nargs="*", default=[1_000_000, 2_000_000])
    parser.add_argument("--repeats", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for count in given.nuclei:
            bulk(Path(folder) / f"{count}.nucbudget", count, given.repeats)


if __name__ == "__main__":
    main()
