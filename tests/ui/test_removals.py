"""Layers that are taken out beside a dock: in a process of its own, since what fails ends it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import numpy as np
from napari import Viewer
from napari.layers import Points, Shapes
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel
from napari_nucbudget.ui.session import Session

viewer = Viewer(show=True)
Session.of(viewer)
viewer.window.resize(1500, 950)
QTest.qWait(300)
rng = np.random.default_rng(0)
um = {"scale": (0.55, 0.55)}
viewer.add_image(rng.integers(0, 255, (500, 500, 3), np.uint8), rgb=True, **um)
viewer.reset_view()
viewer.window.add_dock_widget(QLabel("x" * 60), area="right")
QTest.qWait(300)
points = viewer.add_layer(Points(rng.random((213, 2)) * 500, **um))
QTest.qWait(300)
box = np.array([[0, 0], [0, 499], [499, 499], [499, 0]])
field = Shapes([box], shape_type="rectangle", face_color="transparent", **um)
viewer.layers.insert(1, field)
QTest.qWait(400)
for layer in (points, field):
    viewer.layers.remove(layer)
QTest.qWait(800)
viewer.reset_view()
QTest.qWait(500)
print("alive", len(viewer.layers), flush=True)
viewer.close()
"""


def test_layers_can_be_taken_out_beside_a_dock():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "alive 1"
