"""The dock "Annotate nuclei" beside a drawn image, and what a person does with mouse and keys."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt

from napari_nucbudget.types.nuclei import Nuclei

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}
PLACES = [(60.0, 80.0), (60.0, 200.0), (180.0, 80.0), (180.0, 200.0)]
PROB = [[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.0, 0.9, 0.1], [0.2, 0.2, 0.6]]


class Desk:
    def __init__(self, viewer, dock, qtbot):
        self.viewer, self.dock, self.qtbot = viewer, dock, qtbot
        self.session = dock.session
        self.canvas = viewer.window._qt_window._qt_viewer.canvas.native

    def click(self, button):
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        self.qtbot.wait(30)

    def press(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        self.canvas.setFocus()
        self.qtbot.keyClick(self.canvas, key, modifier)
        self.qtbot.wait(30)

    def propose(self):
        image = self.session.ensure()
        nuclei = Nuclei.from_points(
            PLACES, score=0.95, label=np.argmax(PROB, 1), prob=PROB, origin="darkness"
        )
        return self.session.edit(lambda store: store.add_proposals(image, nuclei))

    def counts(self):
        return {
            name: (count.proposed, count.human)
            for name, count in self.session.store.counts(self.session.image).items()
        }

    def middle(self):
        """Which pixel of the image is in the middle of the screen."""
        layer = self.viewer.layers["biopsy"]
        return np.asarray(layer.world_to_data(self.viewer.scene.camera.center[-2:]))
