"""The workbench: docks as tabs, keys that show them, and the line above the canvas."""

from __future__ import annotations

import pytest
from napari._app_model import get_app_model
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_nucbudget.project import Records
from napari_nucbudget.ui.annotate_widget import AnnotateWidget
from napari_nucbudget.ui.detect_widget import DetectWidget
from napari_nucbudget.ui.export_widget import ExportWidget
from napari_nucbudget.ui.workbench import WorkbenchWidget, dock_titles

COMMAND = "napari-nucbudget.workbench"
"""What the menus Plugins and Layers > Annotate run."""
UM = {"scale": (0.5, 0.5), "units": ("um", "um")}


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    return viewer


def choose(viewer, qtbot):
    """Run what the workbench's entry in napari's menus runs."""
    get_app_model().commands.execute_command(COMMAND)
    qtbot.waitUntil(lambda: len(found(viewer, ExportWidget)) == 1)
    (workbench,) = found(viewer, WorkbenchWidget)
    return workbench


def found(viewer, kind):
    return viewer.window._qt_window.findChildren(kind)


def docks(viewer):
    known = {*dock_titles(), "Next step"}
    return {d.windowTitle(): d for d in found(viewer, QDockWidget) if d.windowTitle() in known}


def test_the_menu_lays_the_docks_out_as_tabs_in_a_small_window(viewer, qtbot):
    choose(viewer, qtbot)
    window = viewer.window._qt_window
    there = docks(viewer)
    assert set(there) == {"Next step", *dock_titles()}
    tabs = [there[word] for word in dock_titles()]
    assert set(window.tabifiedDockWidgets(tabs[0])) == set(tabs[1:])
    top = window.dockWidgetArea(there["Next step"])
    assert top == Qt.DockWidgetArea.TopDockWidgetArea
    assert (window.width(), window.height()) == (1280, 800)
    assert viewer.window._qt_window._qt_viewer.canvas.native.width() > 450


def test_a_dock_that_was_open_is_taken_in_and_none_is_opened_twice(viewer, qtbot):
    viewer.window.add_plugin_dock_widget("napari-nucbudget", "Detect nuclei")
    workbench = choose(viewer, qtbot)
    workbench.lay_out()
    for kind in (DetectWidget, AnnotateWidget, ExportWidget):
        assert len(found(viewer, kind)) == 1
    assert docks(viewer)["Annotate"] in viewer.window._qt_window.tabifiedDockWidgets(
        docks(viewer)["Detect"]
    )


def test_function_keys_show_the_docks_and_a_closed_one_comes_back(viewer, qtbot):
    choose(viewer, qtbot)
    window = viewer.window._qt_window
    words = list(dock_titles())
    key = Qt.Key(Qt.Key.Key_F5.value + words.index("Export"))
    docks(viewer)["Export"].destroyOnClose()
    qtbot.waitUntil(lambda: not found(viewer, ExportWidget))
    with qtbot.waitActive(window):
        window.activateWindow()
    qtbot.keyClick(window, key)
    qtbot.waitUntil(lambda: len(found(viewer, ExportWidget)) == 1)
    (export,) = found(viewer, ExportWidget)
    assert export.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_F5)
    (detect,) = found(viewer, DetectWidget)
    qtbot.waitUntil(detect.isVisible)
    assert detect.isAncestorOf(QApplication.focusWidget())


def test_the_line_follows_the_project_and_leads_to_the_dock(viewer, qtbot, drawn):
    workbench = choose(viewer, qtbot)
    assert "Open an H&E image" in workbench.line.text()
    assert not workbench.go.isVisible()
    viewer.add_image(drawn.rgb, name="biopsy", **UM)
    qtbot.waitUntil(lambda: "Detect the nuclei" in workbench.line.text())
    session = workbench.session
    image = session.ensure()
    session.edit(lambda store: store.add(image, [(9, 9)], "epithelial"))
    qtbot.waitUntil(lambda: "13 more epithelial" in workbench.line.text())
    assert workbench.go.text() == "Go to Annotate"
    qtbot.mouseClick(workbench.go, Qt.MouseButton.LeftButton)
    (annotate,) = found(viewer, AnnotateWidget)
    qtbot.waitUntil(annotate.isVisible)
    session.close()


def test_the_line_is_legible_in_both_themes(viewer, qtbot):
    workbench = choose(viewer, qtbot)
    seen = set()
    for theme in ("dark", "light"):
        viewer.theme = theme
        seen.add(workbench.line.styleSheet())
    assert len(seen) == 2


def test_a_training_that_was_cut_off_is_not_called_running(viewer, qtbot, drawn, tmp_path):
    workbench = choose(viewer, qtbot)
    viewer.add_image(drawn.rgb, name="biopsy", **UM)
    session = workbench.session
    image = session.ensure()
    for start, name in enumerate(session.store.classes.names):
        session.edit(lambda store, s=start, n=name: store.add(image, drawn.yx[s::3], n))
    Records(session.store).start_run(str(tmp_path), {"parent": "", "arguments": []})
    path = session.store.path
    session.close_project()
    session.open(path)
    qtbot.waitUntil(lambda: "continue or cancel it" in workbench.line.text())
    assert workbench.go.text() == "Go to Teach"
    session.close()
