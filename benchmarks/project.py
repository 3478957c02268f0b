"""Times the project store with a million nuclei, and kills annotating processes: ``make bench``.

The first table gives the median and the worst of repeated single edits, each committed to
disk; the second what is done once. With ``--kills`` a child that annotates is killed at random
moments, and every edit that it had reported must be there after reopening.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
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


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def single_edits(store: ProjectStore, image: int, repeats: int) -> None:
    """Print median and worst time of each edit of one nucleus, and of a view."""
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
    print(f"{'':24}{'median ms':>12}{'worst ms':>12}")
    for name, work in rows.items():
        times = [timed(lambda i=i, work=work: work(i)) for i in range(repeats)]  # type: ignore[misc]
        print(f"{name:24}{statistics.median(times):12.2f}{max(times):12.2f}")


def bulk(path: Path, count: int, repeats: int) -> None:
    """Print what a project of `count` nuclei costs as a whole."""
    table = nuclei(count, np.random.default_rng(0))
    store = open_project(path)
    image = store.add_image((SIDE, SIDE), name="drawn slide", mpp=0.25)
    print(f"\n{count:,} nuclei")
    print(f"{'propose all':24}{timed(lambda: store.add_proposals(image, table)):12.0f} ms")
    print(
        f"{'accept above 0.5':24}{timed(lambda: store.accept_all(image, min_score=0.5)):12.0f} ms"
    )
    print(f"{'undo that':24}{timed(store.undo):12.0f} ms")
    print(f"{'copy of all':24}{timed(lambda: store.nuclei(image)):12.0f} ms")
    store.close()
    opened: list[ProjectStore] = []
    print(f"{'open, with backup':24}{timed(lambda: opened.append(open_project(path))):12.0f} ms")
    opened.pop().close()
    print(
        f"{'open, backup is there':24}{timed(lambda: opened.append(open_project(path))):12.0f} ms"
    )
    print(f"{'file':24}{path.stat().st_size / 2**20:12.0f} MiB")
    single_edits(opened[0], image, repeats)
    opened[0].close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
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
