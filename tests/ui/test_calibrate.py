"""A pixel size that is given to a layer, and keys that a class may have."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.ui.calibrate import set_pixel_size
from napari_nucbudget.ui.keys import check_key


@pytest.mark.parametrize("scale", [(1, 1), (1, -1), (-2, -2)])
def test_a_pixel_size_keeps_what_is_on_screen_mirrored_or_not(make_napari_viewer, scale):
    viewer = make_napari_viewer()
    image = viewer.add_image(np.zeros((40, 60), np.uint8), scale=scale)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (20 * scale[0], 30 * scale[1]), 4.0
    set_pixel_size(viewer, image, 0.5)
    np.testing.assert_array_equal(image.scale, 0.5 * np.sign(scale))
    centre = np.asarray(viewer.scene.camera.center)[-2:]
    np.testing.assert_allclose(image.world_to_data(centre), (20, 30))
    assert viewer.scene.camera.zoom == pytest.approx(4.0 * abs(scale[1]) / 0.5)


@pytest.mark.parametrize("key", ["Ctrl+Z", "Ctrl+Shift+z", "Shift+Ctrl+Z", "Ctrl+C"])
def test_a_key_of_every_program_is_refused(key):
    with pytest.raises(ConfigError, match="is taken, as in most programs"):
        check_key(key)


def test_another_key_with_ctrl_is_free():
    assert check_key("Ctrl+e") == "Ctrl+E"
