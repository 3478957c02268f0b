"""Fields: their outlines, how they are declared, and the way to what is unanswered in them."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_nucbudget.types.image import Region
from tests.ui.annotating import UM


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
