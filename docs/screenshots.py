"""Every screenshot of the documentation, taken anew: ``xvfb-run -a python docs/screenshots.py``.

A real window of 1600 x 1000 pixels opens the shipped sample, detects nuclei by
a click on the dock's button, and is saved in the dark and in the light theme. Then its
nuclei are kept as proposals and annotated in the other dock, which is saved alike.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Settings persist: the screenshots must neither use nor change a person's own.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="napari-")) / "settings.yaml")
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="nucbudget-")

from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_nucbudget.bridge.layers import PROPOSAL_COLOR
from napari_nucbudget.models.library import DEFAULT_DETECTOR
from napari_nucbudget.types.image import Region
from napari_nucbudget.ui.detect_widget import DetectWidget
from napari_nucbudget.ui.theme import colors_of

IMAGES = Path(__file__).parent / "images"
SIZE = (1600, 1000)
TIMEOUT_S = 600


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happened for {TIMEOUT_S} s.")
        QTest.qWait(50)


def save(viewer: Viewer, name: str) -> None:
    from PIL import Image, ImageColor

    QTest.qWait(800)
    pixels = viewer.window.screenshot(canvas_only=False, flash=False)
    picture = Image.fromarray(pixels).convert("RGB")
    # Half of the palette for the tissue, half for the controls left and right of it.
    width, height = picture.size
    sides = Image.new("RGB", (width - width // 2, height))
    sides.paste(picture.crop((0, 0, width // 4, height)), (0, 0))
    sides.paste(picture.crop((width - width // 4, 0, width, height)), (width // 4, 0))
    tissue = picture.crop((width // 4, 0, width - width // 4, height))
    colors = [(part.quantize(120).getpalette() or [])[: 120 * 3] for part in (tissue, sides)]
    dock = colors_of(viewer)  # its thin lines would be too rare to get a colour
    exact = [ImageColor.getrgb(c) for c in (dock.line, dock.bar, dock.muted, PROPOSAL_COLOR)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*colors[0], *colors[1], *(v for rgb in exact for v in rgb)])
    small = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    small.save(IMAGES / name, optimize=True)
    print(f"{IMAGES / name}: {picture.size}, {(IMAGES / name).stat().st_size // 1000} kB")


def detect_dock(sample: str, model: str) -> None:
    viewer = Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample("napari-nucbudget", sample)
    _, dock = viewer.window.add_plugin_dock_widget("napari-nucbudget", "Detect nuclei")
    if model != DEFAULT_DETECTOR:
        dock.form.add_model(model)
    viewer.canvas.overlays["scale_bar"].visible = True
    viewer.reset_view()
    QApplication.processEvents()
    camera = viewer.scene.camera
    camera.zoom *= 4

    QTest.qWait(500)
    QTest.mouseClick(dock.detect, Qt.MouseButton.LeftButton)
    wait_for(lambda: not dock.job.running)
    if dock.proposals is None:
        raise SystemExit(f"The run failed: {dock.error.text()}")
    print(dock.result.count.text(), "|", dock.status.text())
    for theme in ("dark", "light"):
        viewer.theme = theme
        save(viewer, f"detect_{theme}.png")
    annotate_dock(viewer, dock)
    viewer.close()


def annotate_dock(viewer: Viewer, detected: DetectWidget) -> None:
    """Keep what was detected, answer some of it, and show each tab of the dock."""
    QTest.mouseClick(detected.kept.keep, Qt.MouseButton.LeftButton)
    wait_for(lambda: detected.session.store is not None and not detected.typing_job.running)
    viewer.window.remove_dock_widget("all")
    _, dock = viewer.window.add_plugin_dock_widget("napari-nucbudget", "Annotate nuclei")
    session = dock.session
    session.set_annotator("Ann")
    view = session.views.of()
    for number, name in enumerate(session.store.classes.names):
        some = view.nuclei.id[number::7]
        session.edit(lambda store, some=some, name=name: store.relabel(some, name))
    area = view.visible()
    field = Region(area.y + 60, area.x + 60, area.height // 3, area.width // 3)
    session.edit(lambda store: store.accept_all(session.image, field))
    dock.fields.declare_region(field)
    QTest.mouseClick(dock.proposals.next, Qt.MouseButton.LeftButton)
    for theme in ("dark", "light"):
        viewer.theme = theme
        dock.tabs.setCurrentIndex(0)
        save(viewer, f"annotate_{theme}.png")
    dock.tabs.setCurrentWidget(dock.gallery)
    dock.gallery.which.setCurrentText("of people")
    QTest.mouseClick(dock.gallery.fill, Qt.MouseButton.LeftButton)
    wait_for(lambda: not dock.gallery.job.running)
    save(viewer, "annotate_gallery.png")
    dock.tabs.setCurrentWidget(dock.fields)
    save(viewer, "annotate_fields.png")
    session.close_project()


def labelled_sample(sample: str, model: str) -> Viewer:
    """The sample with proposals of `model` accepted in a field, in a project of its own."""
    import numpy as np

    from napari_nucbudget.infer.detect import detect
    from napari_nucbudget.models.library import load_detector
    from napari_nucbudget.types.image import Region
    from napari_nucbudget.ui.session import Session

    # the docks before this one left proposals in the sample's project
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="nucbudget-")
    viewer = Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample("napari-nucbudget", sample)
    session = Session.of(viewer)
    image = session.ensure()
    if image is None or session.store is None:
        raise SystemExit("The sample could not be entered into a project.")
    store = session.store
    height, width = store.image(image).shape
    field = Region(height // 4, width // 4, min(600, height // 2), min(800, width // 2))
    source = session.open_source(store.image(image))
    found = detect(source, load_detector(model), region=field)
    drawn = np.random.default_rng(0).integers(3, size=len(found))
    for label, name in enumerate(store.classes.names):
        store.add(image, found.yx[drawn == label], name)
    store.add_field(image, field)
    session.sync()
    viewer.reset_view()
    viewer.scene.camera.zoom *= 3
    QApplication.processEvents()
    return viewer


def teach_dock(sample: str, model: str) -> None:
    viewer = labelled_sample(sample, model)
    _, dock = viewer.window.add_plugin_dock_widget("napari-nucbudget", "Teach nuclei")
    dock.form.steps.setValue(60)
    wait_for(lambda: not dock._later.isActive())
    QTest.mouseClick(dock.train, Qt.MouseButton.LeftButton)
    wait_for(lambda: not dock.job.running and not dock.process.running)
    if dock.error.text():
        raise SystemExit(f"The training failed: {dock.error.text()}")
    for theme in ("dark", "light"):
        viewer.theme = theme
        save(viewer, f"teach_{theme}.png")
    viewer.close()


def check_dock(sample: str, model: str) -> None:
    viewer = labelled_sample(sample, model)
    _, dock = viewer.window.add_plugin_dock_widget("napari-nucbudget", "Check nuclei")
    dock.classifier.setCurrentIndex(dock.classifier.count() - 1)
    QTest.mouseClick(dock.check, Qt.MouseButton.LeftButton)
    wait_for(lambda: not dock.job.running)
    if dock.check_result is None:
        raise SystemExit(f"The check failed: {dock.error.text()}")
    QTest.mouseClick(dock.next, Qt.MouseButton.LeftButton)
    for theme in ("dark", "light"):
        viewer.theme = theme
        save(viewer, f"check_{theme}.png")
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_DETECTOR, help="a shipped name, or a folder")
    parser.add_argument("--sample", default="drawn_biopsy", help="key of the sample to open")
    arguments = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    app = QApplication.instance() or QApplication([])
    detect_dock(arguments.sample, arguments.model)
    teach_dock(arguments.sample, arguments.model)
    check_dock(arguments.sample, arguments.model)
    app.quit()


if __name__ == "__main__":
    main()
