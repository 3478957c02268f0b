"""What a person does to nuclei, by key or by button: always on the current image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.snapping import snapped
from napari_nucbudget.errors import PointsError
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session
    from napari_nucbudget.ui.store_view import StoreView

__all__ = [
    "accept_above",
    "accept_in_view",
    "accept_selected",
    "add",
    "copy",
    "delete_selected",
    "paste",
    "refused_in_reading",
    "relabel_selected",
    "select_class",
]


def add(session: Session, image: int, yx: NDArray[Any]) -> NDArray[np.int64] | None:
    """Add dots of the active class; ids, or None where that was refused."""
    score_map = session.score_maps.get(image)
    if session.snap and score_map is not None:
        yx = snapped(score_map, np.atleast_2d(yx), radius=session.snap_px)
    name, reading = session.active_class, session.reading
    return session.edit(lambda store: store.add(image, yx, name, reading=reading))


def _chosen(session: Session) -> tuple[StoreView, NDArray[np.int64]] | None:
    """View and selected ids; None, and a sentence, where nothing is selected."""
    view = session.views.of()
    if view is None or not len(view.selected):
        session.failed.emit(
            PointsError("No nucleus is selected. Click one (S), or draw a loop around several.")
        )
        return None
    return view, view.selected


def relabel_selected(session: Session, name: str) -> None:
    """Make a class the active one, and give it to the selected nuclei."""
    session.set_active_class(name)
    view = session.views.of()
    if view is not None and len(view.selected):
        ids = view.selected
        session.edit(lambda store: store.relabel(ids, name))


def accept_selected(session: Session) -> None:
    if chosen := _chosen(session):
        session.edit(lambda store: store.accept(chosen[1]))


def delete_selected(session: Session) -> None:
    """Delete dots of people; what a model proposed counts as rejected."""
    if chosen := _chosen(session):
        view, ids = chosen
        if session.edit(lambda store: store.delete(ids)):
            view.select([])


def refused_in_reading(session: Session) -> bool:
    """Whether a second reading keeps proposals from being answered; a sentence then says so."""
    if session.reading:
        session.failed.emit(
            PointsError("Proposals are hidden in a second reading: end it to answer them.")
        )
    return session.reading > 0


def accept_in_view(session: Session) -> int | None:
    """Accept every proposal on screen; how many there were."""
    if refused_in_reading(session):
        return None
    view, image = session.views.of(), session.image
    region = None if view is None else view.visible()
    if image is None or region is None:
        session.failed.emit(PointsError("No image of the project is on screen."))
        return None
    return session.edit(lambda store: store.accept_all(image, region))


def accept_above(session: Session, score: float, class_name: str | None = None) -> int | None:
    """Accept every proposal of the image with at least this score; how many there were."""
    if refused_in_reading(session):
        return None
    image = session.image
    if image is None:
        session.failed.emit(PointsError("The image has no nuclei in the project yet."))
        return None
    return session.edit(
        lambda store: store.accept_all(image, min_score=score, class_name=class_name)
    )


def select_class(session: Session, name: str) -> int:
    """Select all nuclei of a class in the image, on screen or not; how many there are."""
    view, store = session.views.of(), session.store
    if view is None or store is None:
        return 0
    nuclei = store.nuclei(view.image, reading=session.reading)
    ids = nuclei.id[nuclei.label == store.classes.index(name)]
    view.select(ids)
    return len(ids)


def copy(session: Session) -> None:
    """Remember the selected nuclei for `paste`, also into another image of the project."""
    if (chosen := _chosen(session)) and session.store is not None:
        view, ids = chosen
        session.clipboard = session.store.nuclei(view.image, ids=ids, reading=session.reading)


def paste(session: Session, at: NDArray[Any] | None = None) -> None:
    """Add copies as dots of one's own, their middle at (y, x) where that is given."""
    nuclei: Nuclei | None = session.clipboard
    image, view = session.image, session.views.of()
    if nuclei is None or image is None or view is None:
        session.failed.emit(PointsError("Nothing was copied. Select nuclei and press Ctrl+C."))
        return
    if at is not None:
        nuclei = nuclei.shifted(*(np.asarray(at) - nuclei.yx.mean(axis=0)))
    ids = session.edit(lambda store: store.paste(image, nuclei, reading=session.reading))
    if ids is not None:
        view.select(ids)


def is_human(nuclei: Nuclei) -> NDArray[np.bool_]:
    """Which nuclei a person answered for."""
    human: NDArray[np.bool_] = nuclei.origin == HUMAN
    return human
