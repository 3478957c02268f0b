"""Every kind of image layer, its pixel size, and what happens to it after a run."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_nucbudget.bridge.layers import pixel_size

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}


def rgba(rgb):
    return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255, np.uint8)], axis=-1)


def pyramid(rgb):
    half = rgb.reshape(120, 2, 160, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    return [rgb, half]


KINDS = {
    "RGB": (lambda rgb: rgb, UM),
    "RGBA": (rgba, UM),
    "channel first": (
        lambda rgb: np.moveaxis(rgb, -1, 0),
        {"rgb": False, "scale": (1, 0.5, 0.5), "units": ("pixel", "um", "um")},
    ),
    "16 bit": (lambda rgb: rgb.astype(np.uint16) * 257, {"rgb": True, **UM}),
    "float": (lambda rgb: (rgb / 255).astype(np.float32), {"rgb": True, **UM}),
    "multiscale": (pyramid, {"multiscale": True, **UM}),
    "dask": (lambda rgb: da.from_array(rgb, chunks=(64, 64, 3)), {"rgb": True, **UM}),
    "nanometres": (lambda rgb: rgb, {"scale": (500, 500), "units": ("nm", "nm")}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_colour_layer_gives_the_same_nuclei(dock, drawn, kind):
    change, arguments = KINDS[kind]
    dock.viewer.add_image(change(drawn.rgb), name=kind, **arguments)
    assert dock.widget.form.pixel_size() == pytest.approx(0.5)
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    assert dock.widget.error.text() == ""
    assert len(dock.points.data) == drawn.count(0.5)


def test_the_view_of_a_channel_first_image_is_found(dock, drawn):
    change, arguments = KINDS["channel first"]
    dock.viewer.add_image(change(drawn.rgb), name="stack", **arguments)
    dock.viewer.reset_view()
    dock.run()
    assert dock.widget.proposals.region.area == 240 * 320
    assert len(dock.points.data) == drawn.count(0.5)


def test_the_view_is_found_among_layers_with_other_units(dock, drawn):
    nanometres = {"scale": (500, 500), "units": ("nm", "nm")}
    dock.viewer.add_image(drawn.rgb[:50, :50], name="nanometres", **nanometres)
    micrometres = dock.viewer.add_image(drawn.rgb, name="micrometres", **UM)
    dock.viewer.reset_view()
    dock.viewer.scene.camera.center = (100 * 500, 150 * 500)  # the world is in nm then
    dock.viewer.scene.camera.zoom *= 4
    region = dock.widget.form.region(micrometres)
    assert region.area < 240 * 320 / 4
    assert abs(region.y + region.height / 2 - 100) <= 1.5
    assert abs(region.x + region.width / 2 - 150) <= 1.5


def test_a_single_channel_is_refused_with_words(dock, drawn):
    dock.viewer.add_image(drawn.rgb[..., 0], name="DAPI", **UM)
    assert not dock.widget.detect.isEnabled()
    assert "single channel" in dock.widget.form.hint.text()
    assert "Merge to RGB" in dock.widget.form.hint.text()


def test_without_an_image_the_dock_says_what_to_do(dock):
    assert not dock.widget.detect.isEnabled()
    assert "Open Sample" in dock.widget.form.hint.text()


def test_floats_beyond_one_are_refused_in_the_dock(dock, drawn):
    dock.viewer.add_image(drawn.rgb.astype(np.float32), name="floats", rgb=True, **UM)
    dock.run()
    assert "floats must lie in 0 .. 1" in dock.widget.error.text()
    assert dock.widget.detect.isEnabled()


def test_detect_stays_in_its_place_while_the_pixel_size_is_typed(dock, drawn):
    form = dock.widget.form
    dock.viewer.add_image(drawn.rgb, name="plain")
    dock.qtbot.wait(300)  # the window lays its docks out after the event that asks for it
    place, hint = dock.widget.detect.y(), form.hint.sizeHint().height()
    for key in "0.5":
        dock.qtbot.keyClicks(form.mpp, key)
        dock.qtbot.wait(100)
        assert dock.widget.detect.y() == place
    assert form.hint.heightForWidth(form.hint.width()) < hint  # it would have moved

    dock.viewer.add_image(drawn.rgb, name="known", **UM)
    dock.qtbot.wait(300)
    assert dock.widget.detect.y() <= place  # another image, another hint


def test_an_absent_pixel_size_is_asked_for_and_can_be_set_on_the_layer(dock, drawn):
    layer = dock.viewer.add_image(drawn.rgb, name="plain")
    form = dock.widget.form
    assert not dock.widget.detect.isEnabled()
    assert form.mpp.text() == ""
    assert "never guessed" in form.hint.text()
    assert "border" in form.mpp.styleSheet()

    dock.qtbot.keyClicks(form.mpp, "0.5")
    assert dock.widget.detect.isEnabled()
    assert "0.5 µm/px image is read at 0.5 µm/px" in form.hint.text()
    form.scope.setCurrentText("Whole image")
    dock.run()
    assert len(dock.points.data) == drawn.count(0.5)
    assert tuple(dock.points.scale) == (1, 1)

    dock.click(form.set_mpp)
    assert pixel_size(layer) == pytest.approx(0.5)
    assert tuple(dock.points.scale) == (0.5, 0.5)
    assert dock.points.units == layer.units
    assert not form.set_mpp.isVisible()
    assert form.mpp.text() == "0.5"


def test_setting_the_pixel_size_keeps_the_view_and_the_drawn_region(dock, drawn):
    dock.viewer.add_image(drawn.rgb, name="plain")
    shapes = dock.viewer.add_shapes([[[40, 60], [40, 180], [140, 180], [140, 60]]])
    dock.viewer.scene.camera.center = (100, 120)
    dock.viewer.scene.camera.zoom = 8
    form = dock.widget.form
    form.scope.setCurrentText("What is on screen")
    image = dock.viewer.layers["plain"]
    seen = form.region(image)
    dock.qtbot.keyClicks(form.mpp, "0.25")
    dock.click(form.set_mpp)
    assert form.region(image) == seen
    form.scope.setCurrentText("Drawn region")
    assert form.region(image).slices == (slice(40, 141), slice(60, 181))
    assert tuple(shapes.scale) == (0.25, 0.25)


def test_a_pixel_size_that_is_no_number_is_refused_in_words(dock, drawn):
    dock.viewer.add_image(drawn.rgb, name="plain")
    dock.qtbot.keyClicks(dock.widget.form.mpp, "big")
    assert "'big' is not a pixel size" in dock.widget.form.hint.text()
    assert not dock.widget.detect.isEnabled()


def test_the_list_follows_layers_that_are_added_renamed_and_removed(dock, drawn):
    choice = dock.widget.form.image
    first = dock.viewer.add_image(drawn.rgb, name="one", **UM)
    second = dock.viewer.add_image(drawn.rgb, name="two", **UM)
    assert choice.current is second
    second.name = "renamed"
    assert choice.currentText() == "renamed"
    dock.viewer.layers.remove(second)
    assert choice.current is first
    dock.viewer.layers.remove(first)
    assert choice.current is None
    assert not dock.widget.detect.isEnabled()


def test_after_the_image_was_removed_the_threshold_still_moves_the_points(dock_with_image, drawn):
    dock = dock_with_image
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    dock.viewer.layers.remove("biopsy")
    dock.widget.result.threshold.setValue(0.7)
    dock.settle()
    assert len(dock.points.data) == drawn.count(0.7)
    dock.viewer.layers.remove(dock.points)
    dock.widget.result.threshold.setValue(0.3)
    dock.settle()
    assert len(dock.points.data) == drawn.count(0.3)
    assert tuple(dock.points.scale) == (0.5, 0.5)


def test_an_image_removed_while_the_run_goes_on_still_gets_its_nuclei(
    dock_with_image, drawn, detector
):
    dock = dock_with_image
    dock.widget.form.scope.setCurrentText("Whole image")
    detector.gate.clear()
    dock.click(dock.widget.detect)
    dock.wait(detector.entered.is_set)
    dock.viewer.layers.remove("biopsy")
    detector.gate.set()
    dock.wait(lambda: not dock.widget.job.running)
    assert dock.widget.error.text() == ""
    assert len(dock.points.data) == drawn.count(0.5)


def test_points_follow_an_image_that_is_moved_turned_and_renamed(dock_with_image, drawn):
    dock = dock_with_image
    image = dock.viewer.layers["biopsy"]
    image.rotate = 30
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    image.translate = (100, -40)
    image.name = "slide 7"
    points = dock.points
    assert points.name == "nuclei (slide 7)"
    for yx in ((0, 0), (50, 70)):
        np.testing.assert_allclose(points.data_to_world(yx), image.data_to_world(yx))
    dock.widget.result.threshold.setValue(0.7)
    dock.settle()
    assert dock.points is points
    assert len(points.data) == drawn.count(0.7)


def test_the_view_of_a_turned_and_moved_image_holds_what_is_on_screen(dock_with_image, drawn):
    dock = dock_with_image
    image = dock.viewer.layers["biopsy"]
    image.rotate = 90
    image.translate = (500, 900)
    camera = dock.viewer.scene.camera
    camera.center = image.data_to_world((100, 200))
    camera.zoom = 20
    dock.run()
    region = dock.widget.proposals.region
    height, width = dock.viewer.canvas.size
    assert abs(region.height - width / 20 / 0.5) <= 2  # turned: rows run along the screen
    assert abs(region.width - height / 20 / 0.5) <= 2
    assert abs(region.y + region.height / 2 - 100) <= 1.5
    assert abs(region.x + region.width / 2 - 200) <= 1.5


def test_points_that_a_person_edited_are_never_overwritten(dock_with_image, drawn):
    dock = dock_with_image
    dock.widget.form.scope.setCurrentText("Whole image")
    dock.run()
    edited = dock.points
    edited.add([15.0, 15.0])
    dock.widget.result.threshold.setValue(0.7)
    dock.settle()
    assert len(edited.data) == drawn.count(0.5) + 1
    assert dock.points is not edited
    assert len(dock.points.data) == drawn.count(0.7)
