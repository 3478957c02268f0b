"""What a run of the dock "Detect nuclei" does beside the window, as generators for `ui.jobs`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_nucbudget.bridge.layers import known_pixel_size
from napari_nucbudget.infer.propose import Proposals, iter_propose
from napari_nucbudget.infer.typed import iter_type_above
from napari_nucbudget.types.image import mpp_differ
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui.catalogue import Catalogue
from napari_nucbudget.ui.detect_form import DetectRequest

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["at_distance", "detection", "outdated", "typing"]


def detection(
    request: DetectRequest, catalogue: Catalogue, *, threshold: float, min_distance_um: float
) -> Generator[Progress, None, Proposals]:
    """The work of one run; importing torch and reading weights are part of it."""
    detector = catalogue.load(request.model, request.device)
    yield Progress(0, request.region.area, message="Detecting…")
    proposals = yield from iter_propose(
        request.source,
        detector,
        region=request.region,
        mpp=request.mpp,
        threshold=threshold,
        min_distance_um=min_distance_um,
    )
    return (yield from typing(request, catalogue, proposals, threshold=threshold))


def typing(
    request: DetectRequest, catalogue: Catalogue, proposals: Proposals, *, threshold: float
) -> Generator[Progress, None, Proposals]:
    """Classes for what is above the threshold, where a classifier was chosen."""
    if not request.classifier:
        return proposals
    yield Progress(0, len(proposals.peaks), message=f"Typing with {request.classifier}…")
    peaks = yield from iter_type_above(
        request.source,
        proposals.peaks,
        catalogue.load_classifier(request.classifier, request.device),
        threshold=threshold,
        mpp=request.mpp,
    )
    return replace(proposals, peaks=peaks)


def outdated(proposals: Proposals, image: Image) -> str:
    """Why a result does not fit its image any more: it has another pixel size now; else empty."""
    now = known_pixel_size(image)
    if not mpp_differ(now, proposals.mpp):
        return ""
    return f"Found at {proposals.mpp:.4g} µm/px, and the image has {now:.4g} now: detect once more."


def at_distance(proposals: Proposals, um: float) -> Generator[Progress, None, Proposals]:
    yield Progress(0, 1)
    return proposals.at_distance(um)
