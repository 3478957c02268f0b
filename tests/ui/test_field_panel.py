"""Fields: their outlines, how they are declared, and the way to what is unanswered in them."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_nucbudget.errors import RegionError
from napari_nucbudget.types.image import Region
from napari_nucbudget.ui.viewport import drawn_region
from tests.ui.annotating import UM
from tests.ui.conftest import drag_mouse, move_mouse


@pytest.mark.parametrize("gone", ["a", "b", "c"])
def test_one_of_several_images_with_fields_can_be_taken_out(desk, drawn, gone):
    viewer, session = desk.viewer, desk.session
    viewer.layers.clear()
    for shift, name in enumerate("abc"):
        pixels = np.roll(drawn.rgb, 11 * shift, 0)
        image = session.ensure(viewer.add_image(pixels, name=name, **UM))
        session.edit(lambda store, image=image: store.add(image, (50.0, 50.0)))
        session.edit(lambda store, image=image: store.add_field(image, Region(0, 0, 20, 20)))
    viewer.layers.selection.active = viewer.layers[f"nuclei ({gone})"]
    desk.qtbot.wait(5)
    viewer.layers.remove(viewer.layers[gone])
    desk.qtbot.wait(20)
    left = {layer.name for layer in viewer.layers}
    images = set("abc") - {gone}
    assert {name for name in left if len(name) == 1} == images
    assert {name for name in left if name.startswith("nuclei")} == {f"nuclei ({n})" for n in images}
    assert sum(name.startswith("fields") for name in left) == 1


def test_after_the_proposals_of_a_field_the_walk_goes_on_to_the_others(desk):
    ids = desk.propose()
    fields, proposals, walk = desk.dock.fields, desk.dock.proposals, desk.dock.proposals.walk
    desk.dock.tabs.setCurrentWidget(fields)
    area = Region(0, 0, 120, 140)  # the first proposal lies in it
    assert not fields.declare_region(area)
    assert fields.unanswered.text() == "Answer the 1 left"
    desk.click(fields.unanswered)
    assert (walk.current, walk.region) == (ids[0], area)
    desk.press(Qt.Key.Key_K)
    desk.qtbot.waitUntil(lambda: walk.region is None)
    assert walk.current == ids[0]  # the field is still on screen, to be declared
    assert not fields.unanswered.isVisible()
    desk.dock.tabs.setCurrentIndex(0)
    desk.press(Qt.Key.Key_N)
    assert walk.current in ids[1:]
    assert proposals.left.text() == "3 to be answered"


def test_what_is_left_of_a_field_is_not_asked_for_on_another_image(desk, drawn):
    desk.propose()
    fields = desk.dock.fields
    desk.dock.tabs.setCurrentWidget(fields)
    fields.declare_region(Region(0, 0, 120, 140))
    assert fields.unanswered.isVisible()
    desk.viewer.add_image(drawn.rgb[::-1].copy(), name="second", **UM)
    assert not fields.unanswered.isVisible()


def outlines(desk):
    (layer,) = [each for each in desk.viewer.layers if each.name.startswith("fields (")]
    return layer


def test_outlines_go_with_their_image_and_its_name(desk):
    image = desk.viewer.layers["biopsy"]
    assert desk.dock.fields.declare_region(Region(10, 10, 100, 100))
    image.translate, image.scale, image.name = (100, 50), (0.25, 0.25), "renamed"
    np.testing.assert_array_equal(outlines(desk).translate, (100, 50))
    np.testing.assert_array_equal(outlines(desk).scale, (0.25, 0.25))
    assert outlines(desk).name == "fields (renamed)"
    desk.session.undo()
    image.translate = (0, 0)  # there is none any more
    assert [layer.name for layer in desk.viewer.layers] == ["renamed", "nuclei (renamed)"]


def test_the_fields_of_another_project_are_its_own(desk, tmp_path):
    session, fields = desk.session, desk.dock.fields
    for name, region in (("a", Region(0, 0, 50, 50)), ("b", Region(100, 100, 80, 80))):
        assert session.open(tmp_path / f"{name}.nucbudget")
        assert fields.declare_region(region)
    assert session.open(tmp_path / "a.nucbudget")
    assert fields.list.item(0).text().startswith("50 x 50 px at x 0, y 0")
    assert fields.chosen == session.store.fields()[0]
    np.testing.assert_array_equal(outlines(desk).data[0].max(axis=0), (49.5, 49.5))


def test_every_rectangle_that_was_drawn_becomes_a_field_once(desk):
    fields, canvas = desk.dock.fields, desk.canvas
    desk.dock.tabs.setCurrentWidget(fields)
    desk.click(fields.draw)
    middle = canvas.rect().center()
    for shift in (-120, 0, 120):
        corner = middle + QPoint(shift - 40, -40)
        move_mouse(desk.qtbot, canvas, corner)
        drag_mouse(desk.qtbot, canvas, corner, *(corner + QPoint(d, d) for d in (20, 60, 80)))
    desk.click(fields.declare)
    regions = [field.region for field in desk.session.store.fields()]
    assert len(regions) == 3
    assert regions[0].right < regions[1].x < regions[1].right < regions[2].x
    assert "field to declare" not in desk.viewer.layers
    desk.click(fields.declare)
    assert "No region was drawn yet" in desk.dock.project.error.text()
    assert len(desk.session.store.fields()) == 3


def test_a_rectangle_with_open_proposals_stays_to_be_declared(desk):
    desk.propose()
    fields = desk.dock.fields
    desk.dock.tabs.setCurrentWidget(fields)
    desk.click(fields.draw)
    for y, x in ((100, 20), (50, 70), (100, 120)):  # a proposal lies in the second one
        corners = [[y, x], [y, x + 30], [y + 30, x + 30], [y + 30, x]]
        desk.viewer.layers["field to declare"].add_rectangles(np.array(corners))
    desk.click(fields.declare)
    assert "1 proposal in this field is unanswered" in desk.dock.project.error.text()
    assert len(desk.session.store.fields()) == 1
    assert len(desk.viewer.layers["field to declare"].data) == 2
    desk.click(fields.unanswered)
    desk.press(Qt.Key.Key_K)
    desk.click(fields.declare)
    assert [field.region.x for field in desk.session.store.fields()] == [20, 70, 120]


def test_what_is_a_field_already_is_not_one_twice(desk):
    fields = desk.dock.fields
    desk.dock.tabs.setCurrentWidget(fields)
    desk.click(fields.declare_view)
    desk.click(fields.declare_view)
    assert desk.dock.project.error.text() == "This is a field of the image already."
    assert len(desk.session.store.fields()) == 1


def test_the_outline_of_a_field_is_no_drawn_region(desk):
    viewer, image = desk.viewer, desk.viewer.layers["biopsy"]
    assert desk.dock.fields.declare_region(Region(0, 0, 60, 60))
    with pytest.raises(RegionError, match="No region was drawn"):
        drawn_region(viewer, image)
    viewer.layers.selection.active = outlines(desk)
    drawn = viewer.add_shapes([[[10, 10], [10, 19], [19, 19], [19, 10]]], **UM)
    viewer.layers.move(viewer.layers.index(drawn), 0)
    viewer.layers.selection.active = outlines(desk)
    assert drawn_region(viewer, image) == Region(10, 10, 10, 10)
