"""``nucbudget cluster``: whole slides, computed by many machines or processes."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_nucbudget.cli.console import AsJson, Device, Model
from napari_nucbudget.cli.runtime import Runtime, as_recorded, fit_both
from napari_nucbudget.cli.slide import (
    Classify,
    Mask,
    Mpp,
    Out,
    Regions,
    Report,
    Resume,
    Scores,
    Slides,
    Threshold,
    tell,
)
from napari_nucbudget.cli.slide_output import (
    finish,
    folders_of,
    follow,
    regions_of,
    regions_on,
)
from napari_nucbudget.models import DEFAULT_DETECTOR

__all__ = ["cluster"]


def cluster(
    slides: Slides,
    out: Out,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler, tcp://host:8786.")
    ] = None,
    local: Annotated[
        int | None, typer.Option(min=1, help="Worker processes on this machine instead.")
    ] = None,
    model: Model = DEFAULT_DETECTOR,
    classify: Classify = None,
    mpp: Mpp = None,
    threshold: Threshold = None,
    mask: Mask = None,
    regions: Regions = None,
    resume: Resume = False,
    scores: Scores = False,
    report: Report = False,
    device: Device = "auto",
    runtime: Runtime = "auto",
    as_json: AsJson = False,
) -> None:
    """Like slide, on a dask cluster; workers may die, and their work is done again."""
    from napari_nucbudget.infer.cluster import compute_on, connected
    from napari_nucbudget.infer.slide import SlideSettings, iter_slide
    from napari_nucbudget.models.library import load_classifier, load_detector

    settings = SlideSettings(
        mpp=mpp, threshold=threshold, mask=mask, scores=scores, must_exist=resume
    )
    folders = folders_of(slides, out)
    drawn = dict(zip(slides, regions_of(slides, regions), strict=True))
    detector = load_detector(model, device=device)
    classifier = load_classifier(classify, device=device) if classify else None
    detector, classifier = fit_both(detector, classifier, runtime)
    threads = None if local is None else max(1, (os.cpu_count() or 1) // local)
    with connected(scheduler, local=local) as client:
        # Of a scheduler that is gone it prints a traceback; our own error says it.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        compute = compute_on(
            client, model=model, classifier=classify, device=device, threads=threads
        )

        def one(path: Path, folder: Path) -> dict[str, Any]:
            on_it = regions_on(path, drawn[path], mpp)
            finder, typing = as_recorded(folder, detector, classifier, runtime)
            steps = iter_slide(
                path,
                finder,
                out=folder,
                classifier=typing,
                settings=settings,
                compute=compute,
            )
            return finish(follow(steps, path.name), report=report, regions=on_it)

        tell(slides, folders, one, as_json)
