"""Using a model on the open project: proposals of a detector, classes of a classifier."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_nucbudget.bridge.layers import pixel_size
from napari_nucbudget.errors import PixelSizeError, ProjectError
from napari_nucbudget.infer.classify import iter_classify
from napari_nucbudget.infer.detect import iter_detect
from napari_nucbudget.models.library import load_card, load_classifier, load_detector, model_folder
from napari_nucbudget.project import Records
from napari_nucbudget.types.image import ImageSource, Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui.viewport import visible_region

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["Application", "apply", "commit", "prepare"]


@dataclass(frozen=True, eq=False)
class Application:
    """A model, and where in which image it is to be applied."""

    model: str
    task: str
    image: int
    source: ImageSource
    mpp: float
    region: Region
    proposals: Nuclei


def prepare(session: Session, model: str, *, whole: bool) -> Application:
    """What is needed to apply a model to the view or to the whole current image.

    Raises
    ------
    ProjectError, PixelSizeError, RegionError, ModelError
    """
    image = session.ensure()
    layer, store = session.current, session.store
    if image is None or layer is None or store is None:
        raise ProjectError("No image is open in a project: open the image first.")
    mpp = session.mpp_of(layer)
    if mpp is None:
        pixel_size(layer)  # says why, where what the layer says makes no sense
        raise PixelSizeError(
            f"The pixel size of {layer.name!r} is not known; set it in the dock Detect nuclei."
        )
    shape = store.image(image).shape
    region = Region.whole(shape) if whole else visible_region(session.viewer, layer)
    task = load_card(model).task
    proposals = store.nuclei(image, region, which="proposed")
    if task == "classification" and not len(proposals):
        raise ProjectError(
            "There is no proposal here whose class could be told; detect nuclei first."
        )
    source = session.open_source(store.image(image))
    return Application(model, task, image, source, mpp, region, proposals)


def apply(asked: Application) -> Generator[Progress, None, Nuclei]:
    """The nuclei that a detector finds, or the proposals with the classes of a classifier."""
    if asked.task == "classification":
        classifier = load_classifier(asked.model)
        typed = yield from iter_classify(
            asked.source, asked.proposals, classifier, mpp=asked.mpp, average=True
        )
        return typed
    detector = load_detector(asked.model)
    found = yield from iter_detect(asked.source, detector, region=asked.region, mpp=asked.mpp)
    return found.nuclei


def commit(session: Session, asked: Application, nuclei: Nuclei) -> int | None:
    """Write the answer into the project as one step of undo; gives the number of nuclei.

    None where the project refused it, which `session.failed` has said.
    """
    card = load_card(asked.model)
    if asked.task == "classification":
        count = session.edit(lambda store: store.retype(asked.image, nuclei))
    else:
        apart = (card.min_distance_um or 0.0) / asked.mpp
        ids = session.edit(
            lambda store: store.add_proposals(
                asked.image, nuclei, region=asked.region, apart_px=apart
            )
        )
        count = None if ids is None else len(ids)
    if count is None:
        return None
    store = session.store
    if store is not None and not store.read_only:
        Records(store).use_model(
            card.name,
            card.task,
            path=str(model_folder(asked.model)),
            weights_sha256=card.weights_sha256,
        )
        session.models_changed.emit()
    return count
