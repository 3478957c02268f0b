"""Fields: their outlines, how they are declared, and the way to what is unanswered in them."""

from __future__ import annotations

import numpy as np
import pytest

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
