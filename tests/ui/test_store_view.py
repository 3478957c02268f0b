"""The nuclei of a project on screen, edited with napari's own tools."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_nucbudget.project import open_project
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui.session import Session
from napari_nucbudget.ui.store_view import MOST_IN_VIEW
from tests.ui.conftest import move_mouse

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}
PLACES = [(60.0, 80.0), (60.0, 240.0), (180.0, 80.0), (180.0, 240.0)]


class Bench:
    """A viewer with an image of four proposals, and what a person does in its canvas."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.session = Session.of(viewer)
        self.failed = []
        self.session.failed.connect(lambda error: self.failed.append(str(error)))

    def start(self, rgb, nuclei):
        self.viewer.add_image(rgb, name="biopsy", **UM)
        self.viewer.reset_view()
        self.image = self.session.ensure()
        self.session.edit(lambda store: store.add_proposals(self.image, nuclei))
        self.ids = self.store.nuclei(self.image).id
        self.qtbot.wait(50)
        return self

    @property
    def store(self):
        return self.session.store

    @property
    def view(self):
        return self.session.views.of()

    @property
    def points(self):
        return self.view.points

    @property
    def canvas(self):
        return self.viewer.window._qt_window._qt_viewer.canvas.native

    def at(self, yx):
        """Where a pixel of the image is in the canvas."""
        camera = self.viewer.scene.camera
        world = np.asarray(self.viewer.layers["biopsy"].data_to_world(yx))[-2:]
        offset = (world - np.asarray(camera.center)[-2:]) * camera.zoom
        middle = self.canvas.rect().center()
        return QPoint(round(middle.x() + offset[1]), round(middle.y() + offset[0]))

    def move(self, yx):
        """The mouse to a pixel of the image."""
        move_mouse(self.qtbot, self.canvas, self.at(yx))
        wanted = np.asarray(self.viewer.layers["biopsy"].data_to_world(yx))[-2:]
        assert np.abs(np.asarray(self.viewer.cursor.position)[-2:] - wanted).max() < 1

    def click(self, yx):
        move_mouse(self.qtbot, self.canvas, self.at(yx))
        self.qtbot.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=self.at(yx))
        self.qtbot.wait(30)

    def press(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        self.canvas.setFocus()
        self.qtbot.keyClick(self.canvas, key, modifier)
        self.qtbot.wait(30)

    def human(self):
        return self.store.nuclei(self.image, which="human")


@pytest.fixture
def bench(make_napari_viewer, qtbot, drawn):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 800)
    nuclei = Nuclei.from_points(PLACES, score=0.6, label=[0, 1, 2, -1], origin="darkness")
    bench = Bench(viewer, qtbot).start(drawn.rgb, nuclei)
    yield bench
    bench.session.close()


CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def test_proposals_are_hollow_and_human_dots_solid_in_the_colour_of_their_class(bench):
    bench.session.edit(lambda store: store.accept(bench.ids[:1]))
    face, border = bench.points.face_color, bench.points.border_color
    np.testing.assert_allclose(face[0], [0, 229 / 255, 1, 1], atol=1e-6)
    np.testing.assert_allclose(border[0], [0, 0, 0, 1])
    assert (face[1:, 3] == 0).all()
    np.testing.assert_allclose(border[1], [1, 225 / 255, 0, 1], atol=1e-6)
    np.testing.assert_array_equal(bench.points.scale, [0.5, 0.5])


def test_click_keys_and_undo_reach_the_project(bench):
    bench.points.mode = "select"
    bench.click(PLACES[1])
    assert bench.view.selected.tolist() == [bench.ids[1]]
    bench.press(Qt.Key.Key_E)
    assert bench.human().counts() == {"epithelial": 0, "inflammatory": 0, "miscellaneous": 1}
    bench.click(PLACES[3])
    bench.press(Qt.Key.Key_K)
    assert len(bench.human()) == 2
    bench.click(PLACES[0])
    bench.press(Qt.Key.Key_Delete)
    assert bench.store.nuclei(bench.image, which="rejected").id.tolist() == [bench.ids[0]]
    assert len(bench.points.data) == 3
    for _ in range(3):
        bench.press(Qt.Key.Key_Z, CTRL)
    assert not len(bench.human())
    assert len(bench.points.data) == 4
    bench.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert bench.human().label.tolist() == [2]


def test_a_click_in_napari_s_add_mode_is_a_dot_of_the_active_class(bench):
    bench.press(Qt.Key.Key_W)
    bench.points.mode = "add"
    bench.click((120.0, 160.0))
    (dot,) = bench.human().yx
    np.testing.assert_allclose(dot, (120, 160), atol=1)
    assert bench.human().label.tolist() == [1]
    assert bench.view.selected.tolist() == bench.human().id.tolist()
    np.testing.assert_array_equal(bench.points.data[-1], dot)


def test_a_dragged_nucleus_is_moved_in_the_project(bench, drag):
    bench.points.mode = "select"
    start, end = bench.at(PLACES[2]), bench.at((200.0, 110.0))
    bench.click(PLACES[2])
    drag(bench.canvas, start, (start + end) / 2, end, end)
    bench.qtbot.wait(30)
    moved = bench.human()
    assert moved.id.tolist() == [bench.ids[2]]
    np.testing.assert_allclose(moved.yx[0], (200, 110), atol=2)
    bench.session.undo()
    np.testing.assert_array_equal(bench.points.data[2], PLACES[2])


def test_copies_become_dots_where_the_mouse_is_and_napari_s_own_paste_is_taken_over(bench):
    bench.points.mode = "select"
    bench.click(PLACES[0])
    bench.press(Qt.Key.Key_C, CTRL)
    bench.move((100.0, 100.0))
    bench.press(Qt.Key.Key_V, CTRL)
    (copy,) = bench.human().yx
    np.testing.assert_allclose(copy, (100, 100), atol=1.5)
    bench.points._copy_data()
    bench.points._paste_data()
    bench.view.refresh()
    assert len(bench.human()) == 2
    assert len(bench.points.data) == len(bench.view.nuclei) == 6


def test_what_the_project_refuses_is_put_back_and_said(bench):
    bench.points.add([(-500.0, 10.0)])
    bench.qtbot.wait(30)
    assert "outside the image" in bench.failed[-1]
    assert len(bench.points.data) == 4
    bench.points.data = np.zeros((7, 2))
    bench.qtbot.wait(30)
    assert "replaced by another program" in bench.failed[-1]
    np.testing.assert_array_equal(bench.points.data, PLACES)
    bench.points.scale = (3, 3)
    bench.qtbot.wait(30)
    np.testing.assert_array_equal(bench.points.scale, (0.5, 0.5))


def test_a_read_only_project_keeps_its_points(bench):
    path = bench.store.path
    bench.session.close_project()
    with open_project(path):
        bench.session.open(path)
        assert len(bench.points.data) == 4
        bench.points.selected_data = {1}
        bench.points.remove_selected()
        bench.qtbot.wait(30)
        assert "read only" in bench.failed[-1]
        assert len(bench.points.data) == 4
        bench.session.close_project()


def test_a_removed_points_layer_loses_nothing_and_comes_back_with_the_next_change(bench):
    bench.viewer.layers.remove(bench.points)
    assert len(bench.store.nuclei(bench.image)) == 4
    bench.session.edit(lambda store: store.accept(bench.ids[:1]))
    assert bench.points in list(bench.viewer.layers)
    assert len(bench.points.data) == 4


def test_points_follow_their_image_and_leave_with_it(bench):
    image = bench.viewer.layers["biopsy"]
    image.translate = (7, 9)
    np.testing.assert_array_equal(bench.points.translate, (7, 9))
    bench.viewer.layers.remove(image)
    bench.qtbot.waitUntil(lambda: len(bench.viewer.layers) == 0)
    assert len(bench.store.nuclei(bench.image)) == 4


def test_of_many_nuclei_only_those_on_screen_are_points_and_all_can_be_chosen(
    make_napari_viewer, qtbot
):
    viewer = make_napari_viewer(show=True)
    side, count = 4000, 100_000
    rng = np.random.default_rng(0)
    nuclei = Nuclei.from_points(
        rng.uniform(0, side - 1, (count, 2)),
        label=rng.integers(0, 3, count),
        origin="darkness",
        score=rng.random(count),
    )
    bench = Bench(viewer, qtbot).start(np.full((side, side, 3), 230, np.uint8), nuclei)
    qtbot.waitUntil(lambda: "density (biopsy)" in viewer.layers, timeout=20_000)
    assert viewer.layers["density (biopsy)"].visible
    assert len(bench.points.data) == 0

    viewer.scene.camera.center = (1000.0, 1000.0)
    viewer.scene.camera.zoom *= 8
    qtbot.waitUntil(lambda: len(bench.points.data) > 0, timeout=5000)
    assert not viewer.layers["density (biopsy)"].visible
    seen = bench.store.nuclei(bench.image, bench.view.visible())
    assert set(seen.id) <= set(bench.view.nuclei.id)
    assert len(bench.points.data) <= MOST_IN_VIEW

    from napari_nucbudget.ui import actions

    chosen = actions.select_class(bench.session, "inflammatory")
    assert chosen == (nuclei.label == 1).sum()
    actions.accept_in_view(bench.session)
    assert len(bench.human()) == len(seen)
    actions.accept_above(bench.session, 0.99)
    assert len(bench.human()) > len(seen) + 500
    bench.session.undo()
    assert bench.store.undo_label == f"accept {len(seen):,} proposals"
    assert Region.whole((side, side)).contains(bench.view.nuclei.yx).all()
    bench.session.close()


def test_what_undo_takes_away_is_chosen_no_longer(bench):
    bench.session.edit(lambda store: store.add(bench.image, [[30, 30]], "epithelial"))
    new = np.setdiff1d(bench.store.nuclei(bench.image).id, bench.ids)
    bench.view.select([*new, bench.ids[0]])
    told = []
    bench.view.selection_changed.connect(lambda: told.append(bench.view.selected.tolist()))
    bench.session.undo()
    bench.qtbot.wait(50)
    assert bench.view.selected.tolist() == [bench.ids[0]]
    assert told == [[bench.ids[0]]]
    bench.press(Qt.Key.Key_W)
    assert bench.failed == []
    assert bench.human().id.tolist() == [bench.ids[0]]
