"""Errors on screen: a ring around each, and the camera on one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_nucbudget.bridge.layers import layer_transform
from napari_nucbudget.infer.check import Finding
from napari_nucbudget.ui.proposal_walk import PX_PER_PIXEL, PX_PER_UM
from napari_nucbudget.ui.slides import own_metadata

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_nucbudget.ui.session import Session

__all__ = ["RING_COLORS", "ErrorWalk"]

RING_COLORS = {"missed": "#ffffff", "false": "#ff1744", "mistyped": "#ffab00"}
RING_UM = 14.0


class ErrorWalk:
    """Findings of one kind, one of which is looked at.

    Attributes
    ----------
    at : int
        Which finding is shown; -1 before the first.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._images: tuple[int, ...] = ()
        self._rings: Points | None = None
        self.findings: list[Finding] = []
        self.at = -1

    @property
    def current(self) -> Finding | None:
        return self.findings[self.at] if 0 <= self.at < len(self.findings) else None

    def start(self, findings: Sequence[Finding], images: tuple[int, ...]) -> None:
        """Walk through these; `images` are the project's ids of `Finding.image`."""
        self.findings, self._images, self.at = list(findings), images, -1
        self._ring()

    def step(self, by: int) -> Finding | None:
        """Look at the next (1) or previous (-1) finding; None where there is none."""
        if not self.findings:
            return None
        self.at = (self.at + by) % len(self.findings) if self.at >= 0 else 0
        found = self.findings[self.at]
        self._look_at(found)
        return found

    def select(self) -> None:
        """Select the nuclei of all findings, in the view of each image."""
        for view in self._session.views:
            view.select(
                [
                    f.nucleus
                    for f in self.findings
                    if f.nucleus is not None and self._images[f.image] == view.image
                ]
            )

    def end(self) -> None:
        """Take the rings away."""
        rings, self._rings = self._rings, None
        if rings is not None:
            self._session.removals.take_out(rings)
        self.findings, self.at = [], -1

    def _look_at(self, found: Finding) -> None:
        session = self._session
        layer: Any = session.layer_of(self._images[found.image])
        if layer is None:
            return
        session.views.bring_forward(layer)
        if layer is not session.current:
            session.choose(layer)
            self._stay_at(layer)
            self._ring()
        point = np.zeros(layer.ndim)
        point[-2:] = found.y, found.x
        camera = session.viewer.scene.camera
        centre = np.asarray(camera.center, float)
        centre[-2:] = np.asarray(layer.data_to_world(point))[-2:]
        camera.center = tuple(centre)
        mpp = session.mpp_of(layer)
        wanted = PX_PER_PIXEL if mpp is None else PX_PER_UM * mpp
        camera.zoom = max(camera.zoom, wanted / float(np.abs(np.asarray(layer.scale)[-1])))
        view = session.views.of(layer)
        if view is not None:
            view.select([] if found.nucleus is None else [found.nucleus])

    def _stay_at(self, layer: Any) -> None:
        """Activate the nuclei of an image: the session follows what is active."""
        view, layers = self._session.views.of(layer), self._session.viewer.layers
        if view is not None and view.points is not None and view.points in layers:
            layers.selection.active = view.points
        else:
            layers.selection.active = layer

    def _ring(self) -> None:
        """Rings around the findings in the current image, on a layer that only shows them."""
        session = self._session
        viewer, layer = session.viewer, session.current
        if self._rings is not None:
            session.removals.take_out(self._rings)
        self._rings = None
        image = session.image
        mine = [f for f in self.findings if self._images[f.image] == image]
        if not mine or layer is None:
            return
        active = viewer.layers.selection.active
        self._rings = viewer.add_points(
            np.array([(f.y, f.x) for f in mine]),
            name=f"{mine[0].kind} ({layer.name})",
            size=RING_UM / (session.mpp_of(layer) or 0.5),
            face_color="transparent",
            border_color=[RING_COLORS[f.kind] for f in mine],
            border_width=0.12,
            metadata=own_metadata("errors"),
            **layer_transform(layer),
        )
        self._rings.editable = False
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active
