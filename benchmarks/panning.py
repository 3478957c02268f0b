"""Pans and zooms over a slide of 100,000 x 100,000 pixels with a million nuclei, in a real window.

::

    xvfb-run -a -s "-screen 0 1920x1200x24" python benchmarks/panning.py runs/panning

draws the slide and its truth on first use (a minute of processor time), opens it with the
plugin's reader, puts all its nuclei into a new project and changes the view 50 times: to
another place on the tissue, at a zoom between the whole slide and one pixel a pixel. Of
each change the processor time of the window's thread is taken, until nothing is left to do:
slicing, decoding and choosing what to show on one side, painting on the other, which is done in
software where there is no graphics card. Ends with 1 where the former takes too long.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Neither settings nor projects of the person who runs this are used or changed.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="nucbudget-")
os.environ["NAPARI_CONFIG"] = str(Path(os.environ["XDG_DATA_HOME"]) / "settings.yaml")

import numpy as np
from napari import Viewer
from qtpy.QtTest import QTest

from napari_nucbudget.io.formats import read_points
from napari_nucbudget.ui.session import Session

TISSUE = 0.1
"""So much of 100,000 x 100,000 pixels holds a million nuclei."""
SETTLE_MS = 250
"""Longer than what waits for a view to come to rest."""


class Painting:
    """Processor time and time on the clock that painting took, in seconds."""

    def __init__(self, canvas: Any) -> None:
        self.busy = self.clock = 0.0
        self._started = (0.0, 0.0)
        canvas.events.draw.connect(self._begin, position="first")
        canvas.events.draw.connect(self._end, position="last")

    def _begin(self, event: object) -> None:
        self._started = time.thread_time(), time.perf_counter()

    def _end(self, event: object) -> None:
        self.busy += time.thread_time() - self._started[0]
        self.clock += time.perf_counter() - self._started[1]


def drawn(folder: Path, side: int, tissue: float) -> Path:
    """The slide, drawn where it is absent."""
    slide = folder / f"drawn{side}.ome.tif"
    if not slide.exists():
        command = [sys.executable, "-m", "napari_nucbudget", "sample-slide", str(slide)]
        command += ["--size", f"{side}x{side}", "--tissue", str(tissue), "--distinct", "2"]
        subprocess.run(command, check=True)
    return slide


def changes(viewer: Viewer, painting: Painting, places: np.ndarray, seed: int) -> list[list[float]]:
    """Milliseconds of a first change and of all: all but painting, painting, that by the clock."""
    rng = np.random.default_rng(seed)
    viewer.reset_view()
    QTest.qWait(3000)
    camera, image = viewer.scene.camera, viewer.layers[0]
    widest, closest = camera.zoom, 1 / image.scale[-1]
    rows = []
    zooms = [
        1.0,
        *rng.random(len(places)),
    ]  # the first one shows points, which compiles their shaders
    for place, zoom in zip([places[0], *places], zooms, strict=True):
        busy, painted, clock = time.thread_time(), painting.busy, painting.clock
        camera.zoom = widest * (closest / widest) ** zoom
        camera.center = tuple(place * image.scale)
        QTest.qWait(SETTLE_MS)
        paint = painting.busy - painted
        rest = time.thread_time() - busy - paint
        rows.append([1000 * value for value in (rest, paint, painting.clock - clock)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Views of a huge slide with a million nuclei.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=100_000)
    parser.add_argument("--tissue", type=float, default=TISSUE)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-ms", type=float, default=100.0)
    given = parser.parse_args()
    slide = drawn(given.folder, given.side, given.tissue)
    (truth,) = read_points(slide.with_name(f"drawn{given.side}.truth.csv"))
    viewer = Viewer(show=True)
    viewer.window.resize(1600, 1000)
    viewer.open(slide, plugin="napari-nucbudget")
    session = Session.of(viewer)
    image = session.ensure()
    assert image is not None
    found = truth.nuclei
    session.edit(lambda store, found=found: store.add_proposals(image, found))  # type: ignore[misc]
    print(
        f"{slide.name}: {given.side:,} x {given.side:,} pixels, {len(truth.nuclei):,} nuclei in "
        f"the project, window of 1600 x 1000"
    )
    painting = Painting(viewer.window._qt_viewer.canvas._scene_canvas)
    rng = np.random.default_rng(given.seed)
    places = truth.nuclei.yx[rng.integers(0, len(truth.nuclei), given.steps)]
    del truth, found  # a million Python objects of this script, not of the window
    gc.collect()
    first, *rows = changes(viewer, painting, places, given.seed)
    print(f"the first points: {first[0]:.1f} ms, painting {first[1]:.1f} ms")
    columns = dict(
        zip(
            ("without painting", "painting", "painting, clock"),
            zip(*rows, strict=True),
            strict=True,
        )
    )
    print(f"{len(rows)} changes of view, ms{'median':>14}{'longest':>10}")
    for name, values in columns.items():
        print(f"{name:26}{statistics.median(values):14.1f}{max(values):10.1f}")
    session.close()
    viewer.close()
    if max(columns["without painting"]) > given.most_ms:
        raise SystemExit(f"FAILS: a change of view took longer than {given.most_ms:g} ms.")


if __name__ == "__main__":
    main()
