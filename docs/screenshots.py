"""Every screenshot of the documentation, taken anew: ``xvfb-run -a python docs/screenshots.py``.

A real window of 1600 x 1000 pixels opens the shipped sample, and each dock is used by clicks
and keys, and saved in the dark and in the light theme. The classes that a person would see are
those of the sample's truth.
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
from scipy.spatial import cKDTree

from napari_nucbudget.bridge.layers import PROPOSAL_COLOR
from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.samples.locate import sample_path
from napari_nucbudget.models.library import DEFAULT_DETECTOR
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui.detect_widget import DetectWidget
from napari_nucbudget.ui.plot import LINE_COLORS
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.theme import colors_of
from napari_nucbudget.ui.workbench import PLUGIN, TITLE

IMAGES = Path(__file__).parent / "images"
SAMPLE = "drawn_biopsy"
SIZE = (1600, 1000)
TIMEOUT_S = 900
THEMES = ("dark", "light")
TYPES = "nuclei-context-cnn"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happened for {TIMEOUT_S} s.")
        QTest.qWait(50)


def save(viewer: Viewer, name: str) -> None:
    from napari.utils.theme import get_theme
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
    dock = colors_of(viewer)  # its thin lines, and the dots, would be too rare to get a colour
    theme = get_theme(viewer.theme)
    borders = [
        getattr(theme, part).as_hex("long")
        for part in ("background", "foreground", "current", "highlight")
    ]
    rare = [dock.line, dock.bar, dock.muted, dock.error, PROPOSAL_COLOR, LINE_COLORS[0], *borders]
    exact = [ImageColor.getrgb(c) for c in (*rare, *(c.color for c in DEFAULT_CLASSES.classes))]
    each = (256 - len(exact)) // 2
    colors = [(part.quantize(each).getpalette() or [])[: each * 3] for part in (tissue, sides)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*colors[0], *colors[1], *(v for rgb in exact for v in rgb)])
    small = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    small.save(IMAGES / name, optimize=True)
    print(f"{IMAGES / name}: {picture.size}, {(IMAGES / name).stat().st_size // 1000} kB")


def save_both(viewer: Viewer, name: str) -> None:
    for theme in THEMES:
        viewer.theme = theme
        save(viewer, f"{name}_{theme}.png")


def click(button: object) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QTest.qWait(100)


def truth() -> Nuclei:
    """What was drawn, with its classes."""
    (points,) = read_points(sample_path(f"{SAMPLE}.truth.csv"))
    return points.nuclei


def opened(zoom: float) -> Viewer:
    viewer = Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample(PLUGIN, SAMPLE)
    Session.of(viewer).set_annotator("Ann")
    viewer.canvas.overlays["scale_bar"].visible = True
    QApplication.processEvents()
    viewer.reset_view()
    viewer.scene.camera.zoom *= zoom
    return viewer


def detect_dock(model: str) -> None:
    viewer = opened(4)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Detect nuclei")
    if model != DEFAULT_DETECTOR:
        dock.form.add_model(model)
    QTest.qWait(500)
    click(dock.detect)
    wait_for(lambda: not dock.job.running)
    if dock.proposals is None:
        raise SystemExit(f"The run failed: {dock.error.text()}")
    print(dock.result.count.text(), "|", dock.status.text())
    save_both(viewer, "detect")
    annotate_dock(viewer, dock)
    viewer.close()


def annotate_dock(viewer: Viewer, detected: DetectWidget) -> None:
    """Keep what was detected, answer some of it, and show each tab of the dock."""
    click(detected.kept.keep)
    wait_for(lambda: detected.session.store is not None and not detected.typing_job.running)
    viewer.window.remove_dock_widget("all")
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate nuclei")
    session = dock.session
    nuclei, drawn = session.views.of().nuclei, truth()
    distance, at = cKDTree(drawn.yx).query(nuclei.yx)
    area = session.views.of().visible()
    field = Region(area.y + 60, area.x + 60, area.height // 3, area.width // 3)
    seen = field.contains(nuclei.yx) | (nuclei.id % 4 == 0)
    for label, name in enumerate(session.store.classes.names):
        some = nuclei.id[seen & (distance < 6) & (drawn.label[at] == label)]
        session.edit(lambda store, some=some, name=name: store.relabel(some, name))
    wrong = nuclei.id[seen & (distance >= 6)]
    session.edit(lambda store: store.delete(wrong))
    session.edit(lambda store: store.accept_all(session.image, field))
    dock.fields.declare_region(field)
    click(dock.proposals.next)
    save_both(viewer, "annotate")
    dock.tabs.setCurrentWidget(dock.gallery)
    dock.gallery.which.setCurrentText("of people")
    click(dock.gallery.fill)
    wait_for(lambda: not dock.gallery.job.running)
    save_both(viewer, "gallery")
    dock.tabs.setCurrentWidget(dock.fields)
    save_both(viewer, "fields")
    session.close_project()


def labelled_sample() -> Viewer:
    """The sample with a field in which every nucleus has its class, in a project of its own."""
    # the docks before this one left proposals in the sample's project
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="nucbudget-")
    viewer = opened(3)
    session = Session.of(viewer)
    image = session.ensure()
    if image is None or session.store is None:
        raise SystemExit("The sample could not be entered into a project.")
    session.set_annotator("Ann")
    store, drawn = session.store, truth()
    height, width = store.image(image).shape
    field = Region(height // 4, width // 4, min(500, height // 2), min(500, width // 2))
    inside = drawn.select(field.contains(drawn.yx))
    for label, name in enumerate(store.classes.names):
        store.add(image, inside.yx[inside.label == label], name)
    store.add_field(image, field)
    session.sync()
    center = field.y + field.height / 2, field.x + field.width / 2
    viewer.scene.camera.center = tuple(value * (session.mpp_of() or 1.0) for value in center)
    return viewer


def workbench(_: str) -> None:
    viewer = labelled_sample()
    _, bench = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    QTest.qWait(1500)
    bench.show_dock("Annotate")
    save_both(viewer, "workbench")
    bench.session.close()
    viewer.close()


def teach_dock(model: str) -> None:
    """Save the dock while its curve grows."""
    viewer = labelled_sample()
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Teach nuclei")
    dock.form.choose(model)
    dock.form.steps.setValue(80)
    wait_for(lambda: not dock._later.isActive())
    click(dock.train)
    wait_for(lambda: dock.bar.value() >= 45 or bool(dock.error.text()))
    if dock.error.text() or not dock.process.running:
        raise SystemExit(f"The training failed: {dock.error.text()}")
    save_both(viewer, "teach")
    click(dock.cancel)
    dock.session.close()
    viewer.close()


def check_dock(model: str) -> None:
    viewer = labelled_sample()
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Check nuclei")
    dock.detector.setCurrentIndex(max(0, dock.detector.findData(model)))
    dock.classifier.setCurrentIndex(dock.classifier.findData(TYPES))
    click(dock.check)
    wait_for(lambda: not dock.job.running)
    if dock.check_result is None:
        raise SystemExit(f"The check failed: {dock.error.text()}")
    dock.kind.setCurrentText("mistyped")
    click(dock.next)
    save_both(viewer, "check")
    dock.session.close()
    viewer.close()


DOCKS = {
    "detect": detect_dock,
    "workbench": workbench,
    "check": check_dock,
    "teach": teach_dock,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_DETECTOR, help="a shipped name, or a folder")
    parser.add_argument("--docks", nargs="*", default=list(DOCKS), choices=list(DOCKS))
    arguments = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    app = QApplication.instance() or QApplication([])
    for name in arguments.docks:
        DOCKS[name](arguments.model)
    app.quit()


if __name__ == "__main__":
    main()
