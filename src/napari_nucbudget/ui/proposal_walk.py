"""Going through proposals one after the other, with the camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.certainty import certainty
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui import actions

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["ORDERS", "ProposalWalk"]

ORDERS = ("nearest", "least sure first", "surest first")
FIRST_WINDOW = 256
PX_PER_UM = 4.0
"""Working zoom: a nucleus of 8 µm is 32 pixels wide on screen."""
PX_PER_PIXEL = 2.0
"""The same where the pixel size is not known."""


class ProposalWalk:
    """Where the walk is, where it was, and which proposal comes next.

    Attributes
    ----------
    current : int or None
        Id of the proposal that was shown last.
    order : str
        One of `ORDERS`.
    region : Region or None
        Where the proposals lie that are walked through, default anywhere in the image; None
        again once none is left there.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.order = ORDERS[0]
        self.restart()

    def restart(self) -> None:
        """Forget what was seen, such as for another image."""
        self.region: Region | None = None
        self.current: int | None = None
        self._seen: list[int] = []

    def next(self) -> int | None:
        """Show the next proposal; None where there is none left."""
        store, image = self._session.store, self._session.image
        if store is None or image is None or actions.refused_in_reading(self._session):
            return None
        found = self._nearest() if self.order == ORDERS[0] else self._by_certainty()
        if found is None and self._seen:  # all were seen: begin again with those not answered
            self._seen = []
            found = self._nearest() if self.order == ORDERS[0] else self._by_certainty()
        if found is None:
            self.region = None
        else:
            self._seen.append(found)
            self.go_to(found)
        return found

    def previous(self) -> int | None:
        """Show the one before again, answered or not; None where there is none."""
        if len(self._seen) < 2 or actions.refused_in_reading(self._session):
            return None
        self._seen.pop()
        self.go_to(self._seen[-1])
        return self._seen[-1]

    def go_to(self, id: int) -> None:
        """Select a nucleus and bring it to the middle of the screen, near enough to be judged."""
        session = self._session
        view, layer, store = session.views.of(), session.current, session.store
        if view is None or layer is None or store is None:
            return
        self.current = id
        session.views.bring_forward(layer)
        found = store.nuclei(view.image, ids=np.array([id]))
        if not len(found):
            return
        at = np.zeros(layer.ndim)
        at[-2:] = found.yx[0]
        camera = session.viewer.scene.camera
        world = np.asarray(layer.data_to_world(at))[-2:]
        centre = np.asarray(camera.center, float)
        centre[-2:] = world
        camera.center = tuple(centre)
        camera.zoom = max(camera.zoom, self._working_zoom())
        if view.points not in session.viewer.layers:
            view.show()
        if view.points is not None:  # its selection is drawn, and its keys work
            session.viewer.layers.selection.active = view.points
        view.select([id])

    def _working_zoom(self) -> float:
        layer = self._session.current
        assert layer is not None
        world_per_pixel = float(np.abs(np.asarray(layer.scale)[-1]))
        mpp = self._session.mpp_of(layer)
        wanted = PX_PER_PIXEL if mpp is None else PX_PER_UM * mpp  # screen pixels per pixel
        return wanted / world_per_pixel

    def _nearest(self) -> int | None:
        middle, shape = self._place()
        window = FIRST_WINDOW
        while True:
            y, x = np.round(middle).astype(int) - window // 2
            asked = Region(int(y), int(x), window, window)
            nuclei = self._proposals(asked)
            distance = np.hypot(*(nuclei.yx - middle).T)
            whole = window > 2 * max(shape)
            if len(nuclei) and (distance.min() <= window / 2 or whole):
                return int(nuclei.id[distance.argmin()])
            if whole:
                return None
            window *= 2

    def _by_certainty(self) -> int | None:
        nuclei = self._proposals(None)
        if not len(nuclei):
            return None
        sure = certainty(nuclei)
        return int(nuclei.id[sure.argmax() if self.order == ORDERS[2] else sure.argmin()])

    def _proposals(self, within: Region | None) -> Nuclei:
        """Unanswered proposals that were not seen yet."""
        store, image = self._session.store, self._session.image
        assert store is not None
        assert image is not None
        region = within if self.region is None else self.region
        nuclei = store.nuclei(image, region, which="proposed")
        keep = ~np.isin(nuclei.id, self._seen)
        if within is not None and self.region is not None:
            keep &= within.contains(nuclei.yx)
        return nuclei.select(keep)

    def _place(self) -> tuple[NDArray[np.float64], tuple[int, int]]:
        """(y, x) from which the nearest is asked for, and the shape of the image."""
        session = self._session
        store, image, view = session.store, session.image, session.views.of()
        assert store is not None
        assert image is not None
        shape = store.image(image).shape
        if self.current is not None:
            last = store.nuclei(image, ids=np.array([self.current]))
            if len(last):
                return last.yx[0].astype(np.float64), shape
        seen = view.visible() if view is not None else None
        if seen is None:
            return np.array(shape) / 2, shape
        return np.array([seen.y + seen.height / 2, seen.x + seen.width / 2]), shape
