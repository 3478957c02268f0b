"""A viewer with the dock Teach, and what a person does there."""

from __future__ import annotations

from qtpy.QtCore import Qt

from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.train_widget import TrainWidget

__all__ = ["UM", "Bench"]

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}
START_MS = 300_000
"""Importing torch and training in the child process, which gives way to other programs."""


class Bench:
    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.session = Session.of(viewer)

    def open_dock(self):
        self.dock = TrainWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="Teach nuclei")
        self.dock.form.choose("tiny")
        self.settle()

    def settle(self):
        self.qtbot.waitUntil(lambda: not self.dock._later.isActive())

    def click(self, button):
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def train(self, steps):
        self.dock.form.steps.setValue(steps)
        self.settle()
        self.click(self.dock.train)

    def wait(self, condition, timeout=START_MS):
        self.qtbot.waitUntil(condition, timeout=timeout)
