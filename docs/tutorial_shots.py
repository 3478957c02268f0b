"""Screenshots of docs/tutorial.md and docs/export.md: a window of 1280 x 800 is driven through.

``xvfb-run -a python docs/tutorial_shots.py``; `make screenshots` runs it too. Every step is a
click on a button or a key, as in the text. The classes that a person would see are looked up in
the sample's truth.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

# Neither settings nor projects of the person who runs this are used or changed.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="nucbudget-")
os.environ["NAPARI_CONFIG"] = str(Path(os.environ["XDG_DATA_HOME"]) / "settings.yaml")

from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scipy.spatial import cKDTree
from screenshots import save, wait_for

from napari_nucbudget.io.formats import read_points, write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.samples.locate import sample_path
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui.workbench import PLUGIN, TITLE, WorkbenchWidget

SIZE = (1280, 800)
LABELS = 42
KEYS = (Qt.Key.Key_Q, Qt.Key.Key_W, Qt.Key.Key_E)


def click(button: object) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QTest.qWait(100)


def press(viewer: Viewer, key: Qt.Key, *modifiers: Qt.KeyboardModifier) -> None:
    canvas = viewer.window._qt_window._qt_viewer.canvas.native
    canvas.setFocus()
    modifier = modifiers[0] if modifiers else Qt.KeyboardModifier.NoModifier
    QTest.keyClick(canvas, key, modifier)
    QTest.qWait(60)


def opened() -> tuple[Viewer, WorkbenchWidget]:
    viewer = Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample(PLUGIN, "drawn_biopsy")
    _, bench = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    QTest.qWait(1500)
    bench.session.set_annotator("Ann")
    save(viewer, "tutorial_open.png")
    return viewer, bench


def detected(viewer: Viewer, bench: WorkbenchWidget) -> None:
    viewer.scene.camera.zoom *= 4
    dock = bench.show_dock("Detect")
    click(dock.detect)
    wait_for(lambda: not dock.job.running)
    click(dock.kept.keep)
    wait_for(lambda: bench.session.store is not None and not dock.typing_job.running)
    save(viewer, "tutorial_detect.png")


def labelled(viewer: Viewer, bench: WorkbenchWidget) -> None:
    """Goes through proposals; what lies on no nucleus of the truth is rejected."""
    (truth,) = read_points(sample_path("drawn_biopsy.truth.csv"))
    tree = cKDTree(truth.nuclei.yx)
    session: Any = bench.session
    dock: Any = bench.show_dock("Annotate")
    given = [0] * len(KEYS)
    searched = viewer.scene.camera.center
    press(viewer, Qt.Key.Key_N)
    while min(given) < LABELS // len(KEYS):
        walk = dock.proposals.walk
        nucleus = session.store.nuclei(session.image, ids=[walk.current])
        distance, at = tree.query(nucleus.yx[0])
        label = int(truth.nuclei.label[at])
        if distance > 6 or label < 0:
            press(viewer, Qt.Key.Key_J)
        else:
            press(viewer, KEYS[label])
            given[label] += 1
        if not len(session.store.proposals(session.image)):
            raise SystemExit(f"The proposals on screen were too few: {given} labels.")
    save(viewer, "tutorial_annotate.png")
    # going through proposals moved it beyond what was searched
    viewer.scene.camera.center = searched
    press(viewer, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    dock.tabs.setCurrentWidget(dock.fields)
    click(dock.fields.declare_view)


def taught(viewer: Viewer, bench: WorkbenchWidget) -> None:
    dock = bench.show_dock("Teach")
    dock.form.what.setCurrentText("type nuclei")
    wait_for(dock.train.isEnabled)
    click(dock.train)
    wait_for(lambda: dock.outcome.isVisible() or bool(dock.error.text()))
    if dock.error.text():
        raise SystemExit(f"The training failed: {dock.error.text()}")
    viewer.scene.camera.zoom /= 2
    click(dock.outcome.view)
    wait_for(lambda: not dock.outcome.apply_job.running)
    save(viewer, "tutorial_teach.png")


def checked(viewer: Viewer, bench: WorkbenchWidget) -> None:
    dock = bench.show_dock("Check")
    wait_for(dock.check.isEnabled)
    click(dock.check)
    wait_for(lambda: not dock.job.running)
    save(viewer, "tutorial_check.png")


def exported(viewer: Viewer, bench: WorkbenchWidget) -> None:
    dock = bench.show_dock("Export")
    QTest.qWait(500)
    dock.out.path.setText("~/drawn biopsy.nuclei.csv")
    for theme in ("light", "dark"):
        viewer.theme = theme
        save(viewer, f"export_{theme}.png")
    with tempfile.TemporaryDirectory() as folder:
        classes = ClassScheme((NucleusClass("mitosis", "#ff5577"),))
        nuclei = Nuclei.from_points([(300, 300), (320, 350)], label=0, classes=classes)
        points = PointsFile(nuclei, bench.session.mpp_of(), "drawn biopsy")
        path = write_points(Path(folder) / "second.nuclei.csv", points)
        dock.tabs.setCurrentWidget(dock.in_)
        dock.in_.path.setText(str(path.name))
        dock.in_._read_path(str(path))
        wait_for(lambda: not dock.in_.job.running)
        dock.in_.path.setText(path.name)
        save(viewer, "export_import.png")
    dock.tabs.setCurrentWidget(dock.counts)
    save(viewer, "tutorial_counts.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    app = QApplication.instance() or QApplication([])
    viewer, bench = opened()
    detected(viewer, bench)
    labelled(viewer, bench)
    taught(viewer, bench)
    checked(viewer, bench)
    exported(viewer, bench)
    bench.session.close()
    viewer.close()
    app.quit()


if __name__ == "__main__":
    main()
