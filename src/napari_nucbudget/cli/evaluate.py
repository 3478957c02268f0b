"""``nucbudget evaluate``: a model against expert dots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_nucbudget.cli.console import AsJson, Device, watch
from napari_nucbudget.cli.runtime import Runtime, fit
from napari_nucbudget.errors import ConfigError, OutputError

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a model, or a model folder.")],
    data: Annotated[Path, typer.Option(help="Label set folder.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    radius_um: Annotated[
        float | None, typer.Option(min=0.1, max=100, help="Matching radius in µm; default 3.3.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score; default the model's own.")
    ] = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    record: Annotated[
        bool, typer.Option("--record", help="Write the scores into the model's card.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score a model against the dots of a label set."""
    from napari_nucbudget.infer.evaluate import PAPER_RADIUS_UM, evaluate_detector, score_record
    from napari_nucbudget.io.label_sets import read_label_set
    from napari_nucbudget.models.library import (
        load_card,
        load_detector,
        model_folder,
        record_scores,
    )
    from napari_nucbudget.types.labels import SPLITS

    if split not in SPLITS:
        raise ConfigError(f"--split must be one of {', '.join(SPLITS)}, got {split!r}.")
    if record:
        _refuse_shipped(model_folder(model))
    if load_card(model).task == "classification":
        _refuse_for_classifier(model, threshold, radius_um, precision)
        _evaluate_classifier(model, data, split, device, runtime, record, as_json)
        return
    detector = fit(load_detector(model, device=device, precision=precision), runtime)
    labels = read_label_set(data, splits=(split,))
    scores = watch(
        evaluate_detector(
            labels, detector, radius_um=radius_um or PAPER_RADIUS_UM, threshold=threshold
        ),
        f"{data.name} {split}",
        lambda p: (p.done, p.total, f"{p.found:,} proposals"),
    )
    if record:
        record_scores(model_folder(model), score_record(scores, data=data.name, split=split))
    if as_json:
        where = {"model": detector.card.name, "data": data.name, "split": split}
        typer.echo(json.dumps({**scores.to_dict(), **where}))
        return
    typer.echo(
        f"{detector.card.name} on {data.name} {split}: {scores.images} images, "
        f"{scores.nuclei:,} nuclei, radius {scores.radius_um:g} µm at {scores.mpp:g} µm/px\n"
        f"  at threshold {scores.threshold:.2f}: F1 {scores.f1:.3f} "
        f"({_interval(scores.f1_ci, scores.images)}), precision {scores.precision:.3f}, "
        f"recall {scores.recall:.3f}\n"
        f"  best F1 {scores.best.f1:.3f} at {scores.best.threshold:.2f}, AUPR {scores.aupr:.3f}"
    )


def _refuse_shipped(folder: Path) -> None:
    """The card of a model that ships is the package's, the same for all who use it."""
    from napari_nucbudget.models.library import shipped_models

    if folder.resolve() in {shipped.resolve() for shipped in shipped_models().values()}:
        raise OutputError(
            f"The card of {folder.name} belongs to the package, and is not written to. Copy the "
            f"folder {folder} to a place of your own, and give that with --record."
        )


def _refuse_for_classifier(
    model: str, threshold: float | None, radius_um: float | None, precision: str
) -> None:
    """What says something about detecting alone."""
    given = {
        "--threshold": threshold is not None,
        "--radius-um": radius_um is not None,
        "--precision": precision != "auto",
    }
    unfit = [name for name, there in given.items() if there]
    if unfit:
        one = len(unfit) == 1
        raise ConfigError(
            f"{' and '.join(unfit)} {'is' if one else 'are'} for detectors, and {model} is a "
            f"classifier; leave {'it' if one else 'them'} away."
        )


def _evaluate_classifier(
    model: str, data: Path, split: str, device: str, runtime: str, record: bool, as_json: bool
) -> None:
    """Scores of nucleus types at annotated places."""
    from napari_nucbudget.infer.classify import evaluate_classifier
    from napari_nucbudget.infer.evaluate import class_score_record
    from napari_nucbudget.io.label_sets import read_label_set
    from napari_nucbudget.models.library import load_classifier, model_folder, record_scores

    classifier = fit(load_classifier(model, device=device), runtime)
    labels = read_label_set(data, splits=(split,))
    scores = watch(
        evaluate_classifier(labels, classifier),
        f"{data.name} {split}",
        lambda p: (p.done, p.total, ""),
    )
    if record:
        entry = class_score_record(scores, data=data.name, split=split)
        record_scores(model_folder(model), entry)
    if as_json:
        where = {"model": classifier.card.name, "data": data.name, "split": split}
        typer.echo(json.dumps({**scores.to_dict(), **where}))
        return
    interval = _interval(scores.weighted_f1_ci, scores.images)
    classes = ", ".join(f"{name} {f1:.3f}" for name, f1 in scores.class_f1.items())
    typer.echo(
        f"{classifier.card.name} on {data.name} {split}: {scores.images} images, "
        f"{scores.nuclei:,} nuclei with a class, at {scores.mpp:g} µm/px\n"
        f"  weighted F1 {scores.weighted_f1:.3f} ({interval}), "
        f"macro F1 {scores.macro_f1:.3f}, accuracy {scores.accuracy:.3f}\n"
        f"  {classes}; calibration error {scores.ece:.3f}"
    )


def _interval(bounds: tuple[float, float], images: int) -> str:
    """The bootstrap draws images: of one it says nothing."""
    if images == 1:
        return "no interval: all nuclei are in one image"
    return f"95 % interval {bounds[0]:.3f} to {bounds[1]:.3f}"
