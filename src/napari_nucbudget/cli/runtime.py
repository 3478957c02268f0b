"""The option ``--runtime`` and what commands do with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from napari_nucbudget.models.bundle import Detector
    from napari_nucbudget.models.classifier import Classifier

    AnyModel = TypeVar("AnyModel", Detector, Classifier)

__all__ = ["Runtime", "as_recorded", "fit", "fit_both"]

Runtime = Annotated[
    str,
    typer.Option(
        help="How networks are computed: auto (the fastest exact one here), fast (reduced "
        "precision too), eager, dft, dft-bf16, fft, fft-bf16, openvino, bfloat16, openvino-bf16, "
        "cuda, mps."
    ),
]


def fit(model: AnyModel, runtime: str) -> AnyModel:
    """The model with that runtime; what was picked by measurement is said on stderr."""
    choice = model.choose(runtime)
    if choice.name != runtime:
        typer.echo(f"{model.card.name}: {choice}", err=True)
    return model.with_runtime(choice.name)


def fit_both(
    detector: Detector, classifier: Classifier | None, runtime: str
) -> tuple[Detector, Classifier | None]:
    """Both with that runtime; where it computes detectors alone, it is said what types nuclei."""
    from napari_nucbudget.errors import ConfigError

    fitted = fit(detector, runtime)
    if classifier is None:
        return fitted, None
    try:
        return fitted, fit(classifier, runtime)
    except ConfigError as error:
        typer.echo(
            f"{classifier.card.name}: runtime {classifier.runtime_name}, since {runtime!r} does "
            f"not compute it ({error})",
            err=True,
        )
        return fitted, classifier


def as_recorded(
    folder: Path, detector: Detector, classifier: Classifier | None, runtime: str
) -> tuple[Detector, Classifier | None]:
    """Both with the runtimes of the run in a folder, where `runtime` left the choice open.

    Raises
    ------
    ConfigError
        Where a recorded runtime cannot be used here.
    OutputError
        Where the folder holds something else than a run.
    """
    from napari_nucbudget.io.slide_runs import SlideRunFolder
    from napari_nucbudget.models.runtimes.choice import BY_MEASUREMENT

    run = SlideRunFolder.find(folder) if runtime in BY_MEASUREMENT else None
    if run is None:
        return detector, classifier
    settings = run.facts["settings"]
    kept, typing = settings.get("runtime"), settings.get("classifier runtime")
    if kept is not None and kept != detector.runtime_name:
        detector = fit(detector, kept)
    if classifier is not None and typing is not None and typing != classifier.runtime_name:
        classifier = fit(classifier, typing)
    return detector, classifier
