"""The plugin as napari finds it: manifest, menu, sample and dock, with the shipped model."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer

from napari_nucbudget.io.formats.csv import read_points_csv, write_points_csv
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui.app import lay_out
from napari_nucbudget.ui.detect_widget import DetectWidget


@pytest.fixture
def plugin_viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 900)
    return viewer


def test_the_shipped_model_detects_on_the_shipped_sample_while_the_window_answers(
    plugin_viewer, qtbot
):
    viewer = plugin_viewer
    viewer.open_sample("napari-nucbudget", "drawn_biopsy")
    _, dock = viewer.window.add_plugin_dock_widget("napari-nucbudget", "Detect nuclei")
    assert dock.form.model.currentText() == "nuclei-fast"
    assert dock.form.pixel_size() is not None
    viewer.scene.camera.zoom *= 6

    ticks = [time.perf_counter()]
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(20)
    qtbot.mouseClick(dock.detect, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.job.running, timeout=240_000)
    timer.stop()

    assert dock.error.text() == ""
    points = viewer.layers[-1]
    assert points.name.startswith("nuclei (")
    assert len(points.data) > 10
    assert dock.proposals.region.contains(points.data).all()
    assert max(np.diff(ticks)) < 1.5


def test_the_dock_is_in_the_menus_layers_annotate(plugin_viewer):
    from napari._app_model import get_app_model

    menu = get_app_model().menus.get_menu("napari/layers/annotate")
    assert "napari-nucbudget.detect" in [getattr(item.command, "id", "") for item in menu]


def test_the_demos_window_shows_the_sample_with_its_pixel_size_and_the_proposals(
    plugin_viewer, tmp_path
):
    nuclei = Nuclei.from_points([[100, 200], [300, 50]], score=0.4, origin="nuclei-fcn")
    table = write_points_csv(tmp_path / "p.csv", nuclei, mpp=0.5, image="drawn_biopsy.ome.tif")
    lay_out(plugin_viewer, read_points_csv(table).nuclei)
    points = plugin_viewer.layers[-1]
    np.testing.assert_array_equal(points.data, nuclei.yx)
    np.testing.assert_array_equal(points.scale, [0.5, 0.5])
    (dock,) = plugin_viewer.window._qt_window.findChildren(DetectWidget)
    assert dock.form.pixel_size() == 0.5
    assert dock.detect.isEnabled()


def test_the_demos_window_says_what_it_takes_where_it_is_given_something_else(tmp_path):
    image = tmp_path / "biopsy.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    command = [sys.executable, "-m", "napari_nucbudget.ui.app", str(image)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "takes a table of points" in ended.stderr
    assert "Traceback" not in ended.stderr
