"""``nucbudget slide``: whole slides to tables, stopped and resumed at will."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_nucbudget.cli.console import AsJson, Device, Model
from napari_nucbudget.cli.runtime import Runtime, as_recorded, fit_both
from napari_nucbudget.cli.slide_output import (
    bytes_of,
    finish,
    folders_of,
    follow,
    regions_of,
    regions_on,
)
from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.models import DEFAULT_DETECTOR
from napari_nucbudget.types.progress import time_in_words

__all__ = [
    "Classify",
    "Mask",
    "Mpp",
    "Out",
    "Regions",
    "Report",
    "Resume",
    "Scores",
    "Slides",
    "Threshold",
    "slide",
    "tell",
]

Slides = Annotated[list[Path], typer.Argument(help="Slides: SVS, NDPI, TIFF, OME-Zarr ...")]
Out = Annotated[Path, typer.Option(help="Folder; every slide gets one of its name in it.")]
Mpp = Annotated[float | None, typer.Option(help="µm per pixel, in place of what the slide says.")]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Lowest score; default the model's own.")
]
Classify = Annotated[
    str | None, typer.Option(help="Also give every nucleus a class, by this classifier.")
]
Mask = Annotated[
    Path | None,
    typer.Option(help="Picture of the slide in small, not black where it is to be computed."),
]
Regions = Annotated[
    Path | None,
    typer.Option(
        help="Drawn regions that get statistics of their own: GeoJSON of QuPath, or a folder of "
        "them, SLIDE.geojson."
    ),
]
Memory = Annotated[str, typer.Option(help="Memory that the run may take, as in 4GiB.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Only go on with a run; without it one is also begun where there is none."
    ),
]
Scores = Annotated[
    bool, typer.Option("--scores", help="Keep the map of scores too (scores.zarr, 8 bit).")
]
Report = Annotated[bool, typer.Option("--report", help="Also write report.html.")]


def slide(
    slides: Slides,
    out: Out,
    model: Model = DEFAULT_DETECTOR,
    classify: Classify = None,
    mpp: Mpp = None,
    threshold: Threshold = None,
    mask: Mask = None,
    regions: Regions = None,
    max_memory: Memory = "4GiB",
    resume: Resume = False,
    scores: Scores = False,
    report: Report = False,
    device: Device = "auto",
    runtime: Runtime = "auto",
    as_json: AsJson = False,
) -> None:
    """Propose the nuclei of whole slides; the same command goes on where it was stopped."""
    from napari_nucbudget.infer.slide import SlideSettings, iter_slide
    from napari_nucbudget.models.library import load_classifier, load_detector

    settings = SlideSettings(
        mpp=mpp,
        threshold=threshold,
        mask=mask,
        max_memory=bytes_of(max_memory),
        scores=scores,
        must_exist=resume,
    )
    folders = folders_of(slides, out)
    drawn = dict(zip(slides, regions_of(slides, regions), strict=True))
    detector = load_detector(model, device=device)
    classifier = load_classifier(classify, device=device) if classify else None
    detector, classifier = fit_both(detector, classifier, runtime)

    def one(path: Path, folder: Path) -> dict[str, Any]:
        on_it = regions_on(path, drawn[path], mpp)
        finder, typing = as_recorded(folder, detector, classifier, runtime)
        steps = iter_slide(path, finder, out=folder, classifier=typing, settings=settings)
        return finish(follow(steps, path.name), report=report, regions=on_it)

    tell(slides, folders, one, as_json)


def tell(slides: list[Path], folders: list[Path], one: Any, as_json: bool) -> None:
    """Compute every slide, going on after one that fails, and print a line for each.

    Raises
    ------
    SystemExit
        With 2 where a slide of several failed.
    """
    results, failed = [], 0
    for path, folder in zip(slides, folders, strict=True):
        try:
            result = one(path, folder)
        except NucbudgetError as error:
            if len(slides) == 1:
                raise
            failed += 1
            typer.echo(f"nucbudget: {error}", err=True)
            results.append({"slide": path.name, "error": str(error)})
            continue
        results.append(result)
        if not as_json:
            typer.echo(
                f"{path}: {result['nuclei']:,} nuclei on {result['mm2']:,.2f} mm² of tissue, "
                f"{result['per_mm2']:,.0f} per mm² ({time_in_words(result['seconds'])}); "
                f"{result['out']}"
            )
            if len(result["counts"]) > 1:
                typer.echo("  " + ", ".join(f"{n:,} {c}" for c, n in result["counts"].items()))
            for row in result["regions"]:
                typer.echo(
                    f"  {row['region']}: {row['nuclei']:,} nuclei on {row['mm2']:,.3g} mm² of "
                    f"tissue, {row['per_mm2']:,.0f} per mm²"
                )
    if as_json:
        typer.echo(json.dumps({"slides": results}))
    if failed:
        raise SystemExit(2)
