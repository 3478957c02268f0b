"""The points layer of one project image: what is on screen and a margin, never all nuclei.

The project is the truth and the layer shows a part of it. What a person does with napari's
own tools (add, drag, delete, paste) is written into the project first; what the project
refuses is put back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_nucbudget.bridge.layers import (
    POINT_STYLE,
    layer_transform,
    points_features,
    points_name,
)
from napari_nucbudget.errors import PointsError, RegionError
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui import actions, keys
from napari_nucbudget.ui.density_layer import DensityLayer
from napari_nucbudget.ui.dot_style import dot_style
from napari_nucbudget.ui.slides import own_metadata
from napari_nucbudget.ui.viewport import visible_region

if TYPE_CHECKING:
    from napari.layers import Image, Points

    from napari_nucbudget.ui.session import Session

__all__ = ["MOST_POINTS", "StoreView"]

MOST_POINTS = 6000
"""An image with no more nuclei shows all of them, and loads nothing when the view moves."""
MOST_IN_VIEW = 3000
"""Of larger ones the view shows a density picture where it holds more: loading as many points takes
napari up to a twentieth of a second, at every edit and change of the view."""
MARGIN = 0.25
"""Part of the view's sides that is loaded around it."""
CAMERA_MS = 40
PLACE_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units")


class StoreView(QObject):
    """Keeps a points layer in step with a project image, and on its image layer.

    Attributes
    ----------
    points : napari.layers.Points or None
        None after a person removed it; `show` makes it anew.
    nuclei : Nuclei
        What the layer shows, in the order of its points.
    """

    selection_changed = Signal()

    def __init__(self, session: Session, image: int, layer: Image) -> None:
        super().__init__(session)
        self._session = session
        self.store = session.store
        self.image = image
        self.layer = layer
        self.points: Points | None = None
        self.nuclei = Nuclei.empty()
        self.by_score = False
        self._loaded: Region | None = None
        self._whole = False
        self._chosen: NDArray[np.int64] = np.zeros(0, np.int64)
        self._writing = False
        self._editing = False
        self._accounted = 0
        self._density = DensityLayer(session, image, layer, self)
        self._camera = self._timer(CAMERA_MS, self._look)
        self._later = self._timer(0, self.refresh)
        camera = session.viewer.scene.camera.events
        self._watched = [camera.zoom, camera.center, session.viewer.canvas.events.size]
        for event in self._watched:
            event.connect(self._moved)
        for name in PLACE_EVENTS:
            getattr(layer.events, name).connect(self._follow_place)
        layer.events.name.connect(self._follow_name)
        session.nuclei_changed.connect(self._changed)

    def _timer(self, milliseconds: int, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def leave(self, *, layers: bool = True) -> None:
        """Take the layers out of the viewer and follow nothing any more."""
        self._camera.stop()
        self._later.stop()
        self._session.nuclei_changed.disconnect(self._changed)
        for event in self._watched:
            event.disconnect(self._moved)
        for name in PLACE_EVENTS:
            getattr(self.layer.events, name).disconnect(self._follow_place)
        self.layer.events.name.disconnect(self._follow_name)
        self._density.leave(layers=layers)
        self._forget_points(layers=layers)
        self.deleteLater()

    # -- what is shown

    def show(self) -> None:
        """Show the nuclei; makes the layer where there is none."""
        if self.points is None or self.points not in self._session.viewer.layers:
            self._create()
        self._load()

    def refresh(self) -> None:
        """Read the part that is shown anew."""
        if self._session.store is not None:
            self._load()

    def set_by_score(self, on: bool) -> None:
        """Draw unsure proposals faint."""
        self.by_score = on
        self._write(self.nuclei)

    def visible(self) -> Region | None:
        """The part of the image on screen; None where it is not."""
        try:
            return visible_region(self._session.viewer, self.layer)
        except RegionError:
            return None

    def _moved(self, event: Any = None) -> None:
        self._camera.start()

    def _look(self) -> None:
        """After a movement of the camera: load what was not there."""
        if self._session.store is None or self._whole:
            return
        visible = self.visible()
        if visible is None:
            return
        if self._loaded is None or not _within(visible, self._loaded):
            self._load()

    def _load(self) -> None:
        store = self._session.store
        if store is None or self.points is None:
            return
        if self.points not in self._session.viewer.layers:
            self._forget_points()
            self._create()
        self._take_over_paste()
        self._forget_gone()
        nuclei = self._query()
        if nuclei is None:
            self._density.show()
            self._write(Nuclei.empty(store.classes))
        else:
            self._density.hide()
            self._write(nuclei)

    def _forget_gone(self) -> None:
        """Choose no longer what an undo or another dock has taken away."""
        store = self._session.store
        if store is None or not len(self._chosen):
            return
        there = store.nuclei(self.image, ids=self._chosen, reading=self._session.reading).id
        if len(there) < len(self._chosen):
            self._chosen = np.sort(there)
            self.selection_changed.emit()

    def _query(self) -> Nuclei | None:
        """What the layer shall hold, by id; None where that is too much."""
        store, reading = self._session.store, self._session.reading
        assert store is not None
        self._loaded, self._whole = None, False
        if reading or self._count() <= MOST_POINTS:
            self._whole = True
            return _by_id(store.nuclei(self.image, reading=reading))
        visible = self.visible()
        if visible is None:
            return Nuclei.empty(store.classes)
        border = round(MARGIN * max(visible.height, visible.width))
        for region in (visible.padded(border).clipped(store.image(self.image).shape), visible):
            if self._count(region) <= MOST_IN_VIEW:
                self._loaded = region
                return _by_id(store.nuclei(self.image, region))
        return None

    def _count(self, region: Region | None = None) -> int:
        store = self._session.store
        assert store is not None
        counts = store.counts(self.image, region).values()
        return sum(count.proposed + count.human for count in counts)

    def _create(self) -> None:
        from napari.layers import Points

        viewer = self._session.viewer
        self.points = Points(
            np.zeros((0, 2)),
            ndim=2,
            **{**POINT_STYLE, "name": points_name(self.layer.name)},
            metadata=own_metadata("nuclei"),
            **layer_transform(self.layer),
        )
        self.nuclei = Nuclei.empty()
        active = viewer.layers.selection.active
        viewer.add_layer(self.points)
        if active is not None and active in viewer.layers and active is not self.layer:
            viewer.layers.selection.active = active
        self.points.events.data.connect(self._edited)
        self.points.selected_data.events.items_changed.connect(self._selected)
        for name in PLACE_EVENTS:
            getattr(self.points.events, name).connect(self._put_back)
        keys.bind_points(self._session, self.points)

    def _forget_points(self, *, layers: bool = True) -> None:
        points, self.points = self.points, None
        if points is None:
            return
        points.events.data.disconnect(self._edited)
        points.selected_data.events.items_changed.disconnect(self._selected)
        for name in PLACE_EVENTS:
            getattr(points.events, name).disconnect(self._put_back)
        if layers:
            self._session.removals.take_out(points)

    def _write(self, nuclei: Nuclei) -> None:
        """Make the layer's points those nuclei, touching only what differs."""
        points = self.points
        if points is None:
            return
        new, old = dot_style(nuclei, by_score=self.by_score), self.nuclei
        yx = nuclei.yx.astype(np.float64)
        moved = len(points.data) != len(yx) or not np.array_equal(points.data, yx)
        self._writing = True
        try:
            with points.events.blocker_all():
                if moved:
                    points.selected_data = set()
                    points.data = yx
                if len(yx) and (moved or not np.array_equal(points.face_color, new.face)):
                    points.face_color = new.face
                if len(yx) and (moved or not np.array_equal(points.border_color, new.border)):
                    points.border_color = new.border
                    points.border_width = new.border_width
                if moved or not _same_facts(old, nuclei):
                    points.features = points_features(replace(nuclei, prob=None))
            self.nuclei, self._accounted = nuclei, len(yx)
            self._mark_chosen()
            points.refresh()
        finally:
            self._writing = False

    # -- selection

    @property
    def selected(self) -> NDArray[np.int64]:
        """Ids of the selected nuclei, on screen or not."""
        return self._chosen

    def select(self, ids: Iterable[int] | NDArray[np.int64]) -> None:
        """Select nuclei by id, also beyond the screen."""
        self._chosen = np.unique(np.asarray(ids, np.int64))
        self._writing = True
        try:
            self._mark_chosen()
        finally:
            self._writing = False
        self.selection_changed.emit()

    def _mark_chosen(self) -> None:
        if self.points is not None:
            at = np.searchsorted(self._chosen, self.nuclei.id)  # `isin` would sort all chosen
            there = at < len(self._chosen)
            there[there] = self._chosen[at[there]] == self.nuclei.id[there]
            rows = set(np.flatnonzero(there).tolist())
            if rows != set(self.points.selected_data):
                self.points.selected_data = rows

    def _selected(self, event: Any = None) -> None:
        if self._writing or self.points is None or len(self.points.data) != len(self.nuclei):
            return
        rows = np.fromiter(self.points.selected_data, np.int64, len(self.points.selected_data))
        self._chosen = np.sort(self.nuclei.id[rows])
        self.selection_changed.emit()

    # -- edits with napari's own tools

    def _edited(self, event: Any) -> None:
        """Write what napari has done into the project; the layer is read anew afterwards."""
        from napari.layers.base import ActionType

        if self._writing or self.points is None:
            return
        done = ActionType(event.action)
        if done in (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED):
            self._editing = True
            try:
                self._carry_over(done.value, tuple(event.data_indices))
            finally:
                self._editing = False
            self._accounted = len(self.points.data)
            self._later.start()  # not now: napari goes on to select what it has added

    def _carry_over(self, action: str, indices: tuple[int, ...]) -> None:
        points, known = self.points, len(self.nuclei)
        assert points is not None
        ids, total = self.nuclei.id, len(points.data)
        if action == "removed" and total == known - len(indices):
            gone = ids[list(indices)]
            self.nuclei = self.nuclei.select(np.delete(np.arange(known), list(indices)))
            self._session.edit(lambda store: store.delete(gone))
        elif action == "changed" and total == known:
            yx = np.asarray(points.data, np.float32)
            moved = np.flatnonzero((yx != self.nuclei.yx).any(axis=1))
            if len(moved):
                self._session.edit(lambda store: store.move(ids[moved], yx[moved]))
        elif action == "added" and total > known:
            new = actions.add(self._session, self.image, np.asarray(points.data[known:]))
            self._chosen = self._chosen if new is None else new
        elif total or known:
            self._session.failed.emit(
                PointsError(
                    "The points of this layer were replaced by another program; they were put "
                    "back. Import such points with 'Export and import' instead."
                )
            )

    def _take_over_paste(self) -> None:
        """Points that were appended without an event, as napari's own paste does."""
        assert self.points is not None
        new = np.asarray(self.points.data[self._accounted :])
        if len(new):
            self._accounted = len(self.points.data)
            actions.add(self._session, self.image, new)

    # -- what follows what

    def _changed(self, notes: Any) -> None:
        if self.points is None:
            return
        mine = notes is None or any(self.image in note.nuclei or note.classes for note in notes)
        if mine and not self._later.isActive():
            if self._editing:
                self._later.start()
            else:
                self.refresh()

    def _follow_place(self, event: Any = None) -> None:
        if self.points is not None:
            self._writing = True
            try:
                for name, value in layer_transform(self.layer).items():
                    setattr(self.points, name, value)
            finally:
                self._writing = False
        self._density.follow()

    def _put_back(self, event: Any = None) -> None:
        """Nuclei stay on their image: moving the layer would move all of them."""
        if not self._writing and self.points is not None:
            QTimer.singleShot(0, self._follow_place)

    def _follow_name(self, event: Any = None) -> None:
        if self.points is not None and self.points.name.startswith("nuclei ("):
            self.points.name = points_name(self.layer.name)


def _within(inner: Region, outer: Region) -> bool:
    return (
        inner.y >= outer.y
        and inner.x >= outer.x
        and inner.bottom <= outer.bottom
        and inner.right <= outer.right
    )


def _same_facts(old: Nuclei, new: Nuclei) -> bool:
    return (
        old.classes == new.classes
        and np.array_equal(old.id, new.id)
        and np.array_equal(old.label, new.label)
        and np.array_equal(old.origin, new.origin)
    )


def _by_id(nuclei: Nuclei) -> Nuclei:
    """Ordered, so that a nucleus keeps its place in the layer while it is shown."""
    return nuclei.select(np.argsort(nuclei.id, kind="stable"))
