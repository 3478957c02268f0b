"""The dock in a real viewer, driven by real clicks."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
from qtpy.QtCore import QPoint, Qt

from napari_nucbudget.bridge.layers import PROPOSAL_COLOR


def choose_scope(dock, name):
    dock.widget.form.scope.setCurrentText(name)


def test_detecting_in_the_view_finds_the_nuclei_on_screen_and_no_others(dock_with_image, drawn):
    dock = dock_with_image
    camera = dock.viewer.scene.camera
    camera.center = (120 * 0.5, 100 * 0.5)
    camera.zoom *= 3
    dock.run()

    region = dock.widget.proposals.region
    assert 0 < region.area < 240 * 320 / 4
    inside = (region.y, region.x, region.height, region.width)
    assert len(dock.points.data) == drawn.count(0.5, inside) > 5
    assert dock.points.name == "nuclei (biopsy)"


def test_a_click_on_detect_gives_points_at_the_nuclei_in_the_place_of_the_image(
    dock_with_image, drawn
):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()

    points = dock.points
    truth = drawn.yx[drawn.strength >= 0.5]
    distance = np.linalg.norm(points.data[:, None] - truth[None], axis=-1)
    assert len(points.data) == len(truth)
    assert distance.min(axis=0).max() < 0.6
    image = dock.viewer.layers["biopsy"]
    np.testing.assert_array_equal(points.scale, image.scale)
    assert points.units == image.units
    np.testing.assert_allclose(points.face_color[0], [0, 229 / 255, 1, 1], atol=1e-6)
    assert PROPOSAL_COLOR == "#00e5ff"
    assert set(points.features.columns) == {"id", "score", "label", "origin"}
    assert set(points.features["origin"]) == {"darkness"}


def test_the_threshold_moves_the_points_without_running_the_network_again(
    dock_with_image, drawn, detector
):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()
    calls = detector.calls
    histogram = dock.widget.result.histogram
    for threshold in (0.7, 0.3, 0.9):
        x, y = round(histogram.x_of(threshold)), histogram.height() // 2
        dock.qtbot.mouseClick(histogram, Qt.MouseButton.LeftButton, pos=QPoint(x, y))
        dock.settle()
        assert len(dock.points.data) == drawn.count(threshold)
        assert len(dock.points.features) == drawn.count(threshold)
        assert abs(dock.widget.result.threshold.value() - threshold) < 0.02
        assert f"{drawn.count(threshold)} nuclei" in dock.widget.result.count.text()
    assert detector.calls == calls


def test_threshold_spin_box_slider_and_line_say_the_same(dock_with_image):
    result = dock_with_image.widget.result
    result.slider.setValue(80)
    assert (result.threshold.value(), result.histogram.threshold) == (0.8, 0.8)
    result.threshold.setValue(0.25)
    assert (result.slider.value(), result.histogram.threshold) == (25, 0.25)
    dock_with_image.click(result.reset)
    assert result.threshold.value() == 0.5


def test_a_larger_minimum_distance_thins_the_points_without_running_again(
    dock_with_image, drawn, detector
):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()
    calls = detector.calls
    dock.widget.result.distance.setValue(11.0)  # 22 px: neighbours are 20 px apart
    dock.settle()

    points = dock.points.data
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert 0 < len(points) < drawn.count(0.5)
    assert distance.min() > 21
    dock.widget.result.distance.setValue(2.0)
    dock.settle()
    assert len(dock.points.data) == drawn.count(0.5)
    assert detector.calls == calls


def test_cancelling_answers_at_once_and_loses_nothing(dock_with_image, drawn, detector):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()
    before = dock.points.data.copy()

    detector.gate.clear()
    detector.entered.clear()
    dock.click(dock.widget.detect)
    dock.wait(detector.entered.is_set)
    assert not dock.widget.detect.isEnabled()
    with dock.qtbot.waitSignal(dock.widget.job.cancelled, timeout=2000):
        dock.click(dock.widget.cancel)
    assert dock.widget.detect.isEnabled()
    assert not dock.widget.cancel.isEnabled()
    assert dock.widget.status.text() == "Cancelled."
    np.testing.assert_array_equal(dock.points.data, before)

    detector.gate.set()
    dock.run()
    assert len(dock.points.data) == drawn.count(0.5)


def test_a_drawn_rectangle_limits_the_run(dock_with_image, drawn):
    dock = dock_with_image
    choose_scope(dock, "Drawn region")
    dock.click(dock.widget.form.draw)
    shapes = dock.viewer.layers["region"]
    assert shapes.mode == "add_rectangle"
    shapes.add_rectangles(np.array([[40, 60], [40, 180], [140, 180], [140, 60]]))
    dock.run()

    region = dock.widget.proposals.region
    assert (region.y, region.x, region.height, region.width) == (40, 60, 101, 121)
    assert len(dock.points.data) == drawn.count(0.5, (40, 60, 101, 121))


def test_a_rectangle_can_be_dragged_with_the_mouse(dock_with_image, drawn):
    dock = dock_with_image
    choose_scope(dock, "Drawn region")
    dock.click(dock.widget.form.draw)
    canvas = dock.viewer.window._qt_window._qt_viewer.canvas.native
    middle = canvas.rect().center()
    start, end = middle - QPoint(80, 60), middle + QPoint(90, 70)
    dock.drag(canvas, start, middle, end)
    dock.wait(lambda: len(dock.viewer.layers["region"].data) == 1)
    dock.run()
    region = dock.widget.proposals.region
    zoom = dock.viewer.scene.camera.zoom * 0.5
    assert abs(region.height - 130 / zoom) < 4
    assert abs(region.width - 170 / zoom) < 4
    inside = (region.y, region.x, region.height, region.width)
    assert len(dock.points.data) == drawn.count(0.5, inside)


def test_without_a_drawn_region_the_dock_says_what_to_do(dock_with_image):
    dock = dock_with_image
    choose_scope(dock, "Drawn region")
    dock.run()
    assert "drag a rectangle" in dock.widget.error.text()
    assert dock.widget.error.isVisible()
    assert dock.points is None


def test_a_second_run_replaces_the_nuclei_of_its_image(dock_with_image, drawn):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()
    dock.widget.result.threshold.setValue(0.7)
    dock.run()
    assert len(dock.viewer.layers) == 2
    assert len(dock.points.data) == drawn.count(0.7)


def test_choosing_another_model_changes_nothing_on_screen_until_it_has_run(dock_with_image, drawn):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()
    dock.widget.form.model.setCurrentText("strict")
    dock.settle()
    assert len(dock.points.data) == drawn.count(0.5)
    dock.run()
    dock.settle()
    assert dock.widget.result.threshold.value() == 0.7
    assert len(dock.points.data) == drawn.count(0.7)


def test_every_control_has_a_tooltip_and_takes_the_keyboard(dock_with_image):
    widget = dock_with_image.widget
    form, result = widget.form, widget.result
    controls = [form.image, form.model, form.open_model, form.mpp, form.set_mpp, form.scope]
    controls += [form.draw, form.device, widget.detect, widget.cancel, result.histogram]
    controls += [form.classifier, widget.kept.keep, widget.kept.at_once]
    controls += [result.slider, result.threshold, result.distance, result.reset]
    for control in controls:
        assert control.toolTip()
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_the_dock_opens_without_importing_torch():
    script = "import sys, napari_nucbudget.ui.detect_widget; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_who_works_on_another_layer_is_left_there(dock_with_image):
    dock = dock_with_image
    other = dock.viewer.add_points(np.zeros((1, 2)), name="mine")
    choose_scope(dock, "Whole image")
    dock.run()
    dock.click(dock.widget.kept.keep)
    dock.viewer.layers.selection.active = other
    dock.run()  # kept at once
    assert dock.viewer.layers.selection.active is other
    dock.widget.session.close()


def test_what_lies_below_the_buttons_stays_in_its_place_during_a_run(dock_with_image):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.qtbot.wait(300)  # the hint about the pixel size finds its height
    places = [dock.widget.result.y()]
    dock.widget.job.progressed.connect(lambda progress: places.append(dock.widget.result.y()))
    dock.run()
    dock.qtbot.wait(100)
    places.append(dock.widget.result.y())
    assert len(places) > 2
    assert max(places) - min(places) <= 1  # px


def test_what_is_below_the_result_stays_in_its_place_when_the_first_one_comes(dock_with_image):
    dock = dock_with_image
    keep = dock.widget.kept.keep

    def place():
        dock.qtbot.wait(200)  # the window lays its docks out after the event that asks for it
        return keep.mapTo(dock.widget, QPoint(0, 0)).y()

    before = place()
    dock.run()
    assert place() == before


def test_an_image_that_was_closed_is_said_and_its_points_stay(dock_with_image, drawn):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()
    dock.viewer.layers.remove("biopsy")
    dock.click(dock.widget.kept.keep)
    assert "biopsy was closed" in dock.widget.error.text()
    assert len(dock.points.data) == drawn.count(0.5)


def test_an_image_that_is_closed_during_a_run_is_said_where_results_are_kept_at_once(
    dock_with_image, detector, drawn
):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.widget.kept.at_once.setChecked(True)
    detector.gate.clear()
    dock.click(dock.widget.detect)
    dock.wait(detector.entered.is_set)
    dock.viewer.layers.remove("biopsy")
    detector.gate.set()
    dock.wait(lambda: not dock.widget.job.running)
    assert "biopsy was closed" in dock.widget.error.text()
    assert len(dock.points.data) == drawn.count(0.5)


def test_a_run_of_a_moment_takes_a_moment(dock_with_image):
    dock = dock_with_image
    dock.widget._started = 0.0
    dock.run()
    said = re.fullmatch(r"Done in ([\d.]+) s on .*", dock.widget.status.text())
    assert said is not None
    assert float(said[1]) < 60


def test_the_least_distance_does_not_make_every_pixel_a_nucleus(dock_with_image, drawn):
    dock = dock_with_image
    dock.viewer.layers["biopsy"].scale = (0.9, 0.9)  # half a micrometre is less than a pixel
    choose_scope(dock, "Whole image")
    dock.run()
    few = len(dock.points.data)
    dock.widget.result.distance.setValue(dock.widget.result.distance.minimum())
    dock.settle()
    assert few <= len(dock.points.data) < 1.5 * few


def test_a_result_of_another_pixel_size_is_said_and_not_kept(dock_with_image):
    dock = dock_with_image
    choose_scope(dock, "Whole image")
    dock.run()
    assert "per mm²" in dock.widget.result.count.text()
    dock.viewer.layers["biopsy"].scale = (0.25, 0.25)
    assert "detect once more" in dock.widget.result.count.text()
    dock.click(dock.widget.kept.keep)
    assert "They were not kept" in dock.widget.error.text()
    assert dock.widget.session.store is None
    dock.viewer.layers["biopsy"].scale = (0.5, 0.5)
    assert "per mm²" in dock.widget.result.count.text()


def test_nothing_waits_for_a_drawing_in_3d(dock_with_image):
    dock = dock_with_image
    choose_scope(dock, "Drawn region")
    dock.viewer.dims.ndisplay = 3
    dock.click(dock.widget.form.draw)
    assert "Switch to the 2-D view" in dock.widget.error.text()
    assert [layer.name for layer in dock.viewer.layers] == ["biopsy"]


def test_large_letters_fit_below_the_histogram(dock_with_image):
    histogram = dock_with_image.widget.result.histogram
    font = histogram.font()
    font.setPointSize(24)
    histogram.setFont(font)
    histogram.set_scores(np.zeros(0, np.float32))
    picture = histogram.grab().toImage()
    ink = [
        y
        for y in range(picture.height())
        if len({picture.pixel(x, y) for x in range(0, picture.width(), 1)}) > 3
    ]
    assert ink
    assert max(ink) < picture.height() - 1  # nothing is cut at the lower edge
