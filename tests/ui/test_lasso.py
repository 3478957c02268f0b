"""A loop drawn with the mouse: what it selects, and what a key then does to all of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui import store_view
from napari_nucbudget.ui.annotate_widget import AnnotateWidget
from napari_nucbudget.ui.keys import DEFAULT_KEYS
from tests.ui.person import CTRL, SHIFT, Person

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}
LOOP = [(20, 20), (20, 300), (160, 300), (160, 160), (80, 160), (80, 20)]
"""(y, x) of an L: a box around it would hold the nuclei in its bay."""


class Annotator(Person):
    """With the annotate dock alone."""

    def __init__(self, viewer, qtbot):
        super().__init__(viewer, qtbot)
        self.dock = AnnotateWidget(viewer)
        viewer.window.add_dock_widget(self.dock, name="Annotate nuclei")

    @property
    def session(self):
        return self.dock.session

    @property
    def selected(self):
        return self.session.views.of().selected

    def lasso(self, corners=LOOP):
        """Along the corners, in steps as a hand makes them."""
        closed = [*corners, corners[0]]
        path = []
        for start, end in itertools.pairwise(closed):
            path += [np.add(start, np.subtract(end, start) * part) for part in (0, 0.25, 0.5, 0.75)]
        self.drag(*(self.on_canvas(yx) for yx in path))
        self.wait(lambda: not self.dock.classes.loop.waiting)


@pytest.fixture
def person(make_napari_viewer, qtbot, drawn):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(drawn.rgb, name="biopsy", **UM)
    person = Annotator(viewer, qtbot)
    viewer.reset_view()
    image = person.session.ensure()
    half = len(drawn.yx) // 2
    found = Nuclei.from_points(drawn.yx[:half], score=0.9, origin="darkness")
    person.session.edit(lambda store: store.add_proposals(image, found))
    person.session.edit(lambda store: store.add(image, drawn.yx[half:]))
    yield person
    person.session.close()
    person.leave()


def inside(nuclei):
    """Ids of those in the L, by its two boxes."""
    boxes = (Region(20, 20, 60, 280), Region(80, 160, 80, 140))
    within = np.any([box.contains(nuclei.yx) for box in boxes], axis=0)
    return sorted(nuclei.id[within].tolist())


def test_all_nuclei_in_a_loop_get_a_class_by_one_key_and_lose_it_by_one_undo(person):
    store, image = person.session.store, person.session.image
    expected = inside(store.nuclei(image))
    assert len(expected) == 3 * 14 + 4 * 7
    person.click(person.dock.classes.lasso)
    assert person.dock.classes.lasso.isChecked()
    person.lasso()
    assert not person.dock.classes.lasso.isChecked()
    assert person.selected.tolist() == expected
    assert person.dock.classes.selected.text() == f"{len(expected)} selected"
    before = store.counts(image)
    person.press(Qt.Key.Key_W)
    assert store.undo_label == f"relabel {len(expected)} nuclei"
    typed = store.nuclei(image, which="human")
    assert sorted(typed.id[typed.label == 1].tolist()) == expected
    person.press(Qt.Key.Key_Z, CTRL)
    assert store.counts(image) == before


def test_a_loop_also_takes_what_is_shown_as_a_density_and_delete_takes_it_away(person, monkeypatch):
    monkeypatch.setattr(store_view, "MOST_POINTS", 10)
    monkeypatch.setattr(store_view, "MOST_IN_VIEW", 10)
    person.session.views.of().refresh()
    store, image = person.session.store, person.session.image
    expected, all_of_them = inside(store.nuclei(image)), len(store.nuclei(image))
    assert len(person.session.views.of().points.data) == 0
    person.press(Qt.Key.Key_S, SHIFT)
    person.lasso()
    assert person.selected.tolist() == expected
    person.press(Qt.Key.Key_Delete)
    assert len(store.nuclei(image)) == all_of_them - len(expected)
    assert store.undo_label == f"delete {len(expected)} nuclei"
    person.press(Qt.Key.Key_Z, CTRL)
    assert len(store.nuclei(image)) == all_of_them


def test_a_lasso_is_given_up_by_its_button_escape_or_another_layer_and_leaves_nothing(person):
    loop, layers = person.dock.classes.loop, person.viewer.layers
    view = person.session.views.of()
    view.select(view.nuclei.id[:2])
    before = list(layers)
    person.click(person.dock.classes.lasso)
    person.click(person.dock.classes.lasso)
    assert (loop.waiting, list(layers)) == (False, before)
    person.press(Qt.Key.Key_S, SHIFT)
    assert loop.waiting
    person.press(Qt.Key.Key_Escape)
    assert (loop.waiting, list(layers)) == (False, before)
    person.press(Qt.Key.Key_S, SHIFT)
    layers.selection.active = layers["biopsy"]
    person.wait(lambda: not loop.waiting)
    assert list(layers) == before
    person.press(Qt.Key.Key_S, SHIFT)
    layers.remove("lasso")
    person.wait(lambda: not loop.waiting)
    assert list(layers) == before
    assert len(person.selected) == 2


def test_without_nuclei_the_lasso_says_so(make_napari_viewer, qtbot, drawn):
    person = Annotator(make_napari_viewer(show=True), qtbot)
    person.viewer.add_image(drawn.rgb, name="biopsy", **UM)
    person.dock.classes.loop.start()
    assert "no nuclei in the project" in person.dock.project.error.text()
    assert DEFAULT_KEYS["lasso"] == "Shift+S"
    person.session.close()


def test_in_3d_a_lasso_says_why_it_does_not_wait(person):
    said = []
    person.session.failed.connect(lambda error: said.append(str(error)))
    before = list(person.viewer.layers)
    person.viewer.dims.ndisplay = 3
    person.click(person.dock.classes.lasso)
    assert "Switch to the 2-D view" in said[0]
    assert not person.dock.classes.lasso.isChecked()
    assert list(person.viewer.layers) == before
