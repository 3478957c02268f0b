"""Times edits and views of a million nuclei in a real window: run it under ``xvfb-run -a``.

Each edit is timed from the call to the moment at which the project holds it and the points
layer shows it; drawing, which napari does afterwards, is not part of it. Beside the time on
the clock stands the processor time of the window's thread, which other programs do not change.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Settings persist: a benchmark must neither use nor change a person's own.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="napari-")) / "settings.yaml")

import numpy as np
from napari import Viewer
from qtpy.QtTest import QTest

from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui.session import Session

SIDE = 30_000
"""Pixels along a side: a million nuclei lie as densely as in tissue at 0.5 µm/px."""


def slide() -> list[np.ndarray]:
    """A pyramid of one grey pixel, read as if it were an image."""
    sides = [SIDE // 2**level for level in range(6)]
    grey = np.full((1, 1, 3), 225, np.uint8)
    return [np.broadcast_to(grey, (side, side, 3)) for side in sides]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds on the clock, and of the processor."""
    started, busy = time.perf_counter(), time.thread_time()
    work()
    return (time.perf_counter() - started) * 1000, (time.thread_time() - busy) * 1000


def table(session: Session, image: int, repeats: int, view_px: int) -> None:
    """Print the median and worst time of each edit, `view_px` pixels wide on screen."""
    store, view = session.store, session.views.of()
    assert store is not None
    assert view is not None
    viewer, rng = session.viewer, np.random.default_rng(1)
    camera = viewer.scene.camera
    camera.zoom = viewer.canvas.viewbox_size(viewer.layers)[1] / (view_px * 0.5)

    def go(repeat: int) -> None:
        camera.center = tuple(rng.uniform(0.2, 0.8, 2) * SIDE * 0.5)
        view.refresh()

    go(0)
    QTest.qWait(200)
    shown = view.nuclei.id.copy()
    print(f"\nview of {view_px:,} px, {len(shown):,} points in the layer")
    picks = rng.choice(shown, 4 * repeats, replace=len(shown) < 4 * repeats)
    middle = view.nuclei.yx.mean(axis=0)
    rows: dict[str, Callable[[int], object]] = {
        "add": lambda i: session.edit(lambda s: s.add(image, middle + i, "epithelial")),
        "move": lambda i: session.edit(lambda s: s.move(picks[i : i + 1], middle - i)),
        "relabel": lambda i: session.edit(
            lambda s: s.relabel(picks[repeats + i : repeats + i + 1], "miscellaneous")
        ),
        "accept": lambda i: session.edit(lambda s: s.accept(picks[2 * repeats + i])),
        "delete": lambda i: session.edit(lambda s: s.delete(picks[3 * repeats + i])),
        "undo": lambda i: session.undo(),
        "redo": lambda i: session.redo(),
        "select one": lambda i: view.select(picks[i : i + 1]),
        "another view": go,
    }
    print(f"{'':16}{'median ms':>12}{'worst ms':>12}{'CPU median':>12}{'CPU worst':>12}")
    for name, work in rows.items():
        times = [timed(lambda i=i, work=work: work(i)) for i in range(repeats)]  # type: ignore[misc]
        clock, busy = zip(*times, strict=True)
        columns = (statistics.median(clock), max(clock), statistics.median(busy), max(busy))
        print(f"{name:16}" + "".join(f"{value:12.1f}" for value in columns), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nuclei", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--views", type=int, nargs="*", default=[500, 1000, 1150])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        viewer = Viewer(show=True)
        viewer.window.resize(1600, 1000)
        viewer.add_image(
            slide(), multiscale=True, rgb=True, name="slide", scale=(0.5, 0.5), units=("um", "um")
        )
        session = Session.of(viewer)
        image = session.ensure()
        assert image is not None
        rng = np.random.default_rng(0)
        nuclei = Nuclei.from_points(
            rng.uniform(0, SIDE - 1, (given.nuclei, 2)),
            score=rng.random(given.nuclei, np.float32),
            label=rng.integers(0, 3, given.nuclei),
            origin="nuclei-fcn",
        )
        print(f"{given.nuclei:,} nuclei")
        spent = timed(lambda: session.edit(lambda s: s.add_proposals(image, nuclei)))
        print(f"{'propose all':16}{spent[0]:12.0f} ms, {spent[1]:.0f} ms of the processor")
        for view_px in given.views:
            table(session, image, given.repeats, view_px)
        assert session.store is not None
        path = session.store.path
        session.close_project()
        spent = timed(lambda: session.open(path))
        print(f"\n{'open, shown':16}{spent[0]:12.0f} ms, {spent[1]:.0f} ms of the processor")
        session.close()
        viewer.close()


if __name__ == "__main__":
    main()
