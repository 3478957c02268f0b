"""``nucbudget train``: labels to a model."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_nucbudget.cli.console import AsJson, Device, watch
from napari_nucbudget.cli.training_lock import alone
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.models import DEFAULT_DETECTOR

if TYPE_CHECKING:
    from napari_nucbudget.types.labels import LabelSet
    from napari_nucbudget.types.training import EpochReport, TrainConfig, TrainingRun

__all__ = ["train_classifier", "train_detector"]

NICENESS = 10
"""How far a training in the background stands back behind the window that started it."""
LOOK_S = 0.5
"""Seconds between two looks whether that window is there."""

Data = Annotated[list[Path], typer.Option(help="Label set folder; may be given repeatedly.")]
ModelFolder = Annotated[Path, typer.Option(help="Folder for the model.")]
Settings = Annotated[Path | None, typer.Option(help="TOML or JSON file of settings.")]
ModelName = Annotated[str | None, typer.Option(help="The model's name; default the folder's.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Background = Annotated[
    bool,
    typer.Option(
        "--background",
        help="For the window that started it: low priority, each epoch's report as a line of JSON.",
    ),
]


def train_detector(
    data: Data,
    out: ModelFolder,
    parent: Annotated[str | None, typer.Option(help="Start from this model's weights.")] = None,
    config: Settings = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and crops.")] = None,
    name: ModelName = None,
    device: Device = "auto",
    resume: Resume = False,
    background: Background = False,
    as_json: AsJson = False,
) -> None:
    """Train a detector on dots, from scratch or from a parent model."""
    from napari_nucbudget.learn.fit import fit
    from napari_nucbudget.models.library import load_detector

    _stand_back(background)
    settings = _settings(config, seed, out, fine_tune=parent is not None, resume=resume)
    train, validation = _splits(data, settings.seed, spare=parent is not None)
    detector = load_detector(parent, device=device) if parent else None
    steps = fit(
        train,
        validation,
        settings,
        out=out,
        name=name,
        parent=detector,
        device=device,
        resume=resume,
    )
    run = watch(
        _spoken(alone(steps, out), background),
        "training",
        lambda r: (r.step, r.steps, f"F1 {r.score:.3f}, loss {r.loss['total']:.4f}"),
    )
    _summarise(run, as_json)


def train_classifier(
    data: Data,
    out: ModelFolder,
    method: Annotated[
        str | None,
        typer.Option(
            help="descriptors, supervised, fine-tune, gamma-ladder (the default), ladder or "
            "fixmatch."
        ),
    ] = None,
    parent: Annotated[str | None, typer.Option(help="Start from this model (fine-tune).")] = None,
    fine_tune: Annotated[
        str | None,
        typer.Option(
            help="With the method fine-tune: all layers (the default), head (the last layer, in "
            "seconds) or discriminative (deeper layers more slowly)."
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="patch-cnn, context-cnn or window-cnn; default: the parent's, else patch-cnn."
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Use only so many labels, 40 or 1%; the seed draws them.")
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            help="More nuclei to learn from without labels: a label set folder (its dots), a "
            "folder of images or an image (detected nuclei); may be given repeatedly."
        ),
    ] = None,
    unlabelled_from: Annotated[
        str,
        typer.Option(help="dots, or detected: where unlabelled nuclei of label sets come from."),
    ] = "dots",
    unlabelled_mpp: Annotated[
        float | None, typer.Option(help="µm per pixel of --unlabelled images that do not say it.")
    ] = None,
    detector: Annotated[
        str, typer.Option(help="Model that detects unlabelled nuclei.")
    ] = DEFAULT_DETECTOR,
    validation: Annotated[
        str | None,
        typer.Option(help="none: fixed schedule; paper: best weights on validation labels."),
    ] = None,
    config: Settings = None,
    seed: Annotated[int | None, typer.Option(help="Seed of labels, weights and crops.")] = None,
    name: ModelName = None,
    device: Device = "auto",
    resume: Resume = False,
    background: Background = False,
    as_json: AsJson = False,
) -> None:
    """Train a classifier of nucleus types on the dots that have a class.

    The schedule is fixed, unless "--validation paper" asks for the weights that
    are best on labels of the split "validation", which few labels do not allow.
    """
    from napari_nucbudget.core.sampling import label_budget
    from napari_nucbudget.io.label_sets import read_label_sets
    from napari_nucbudget.learn.fit import fit
    from napari_nucbudget.models.library import load_classifier
    from napari_nucbudget.types.labels import LabelSet

    _stand_back(background)
    options = {
        "method": method,
        "fine_tune": fine_tune,
        "architecture": architecture,
        "seed": seed,
        "validation": validation,
    }
    settings = _classifier_settings(config, options, out, resume=resume)
    if unlabelled_from not in ("dots", "detected"):
        raise ConfigError(f"--unlabelled-from must be dots or detected, got {unlabelled_from!r}.")
    if unlabelled_mpp is not None and not unlabelled:
        raise ConfigError(
            "--unlabelled-mpp is the pixel size of --unlabelled images; give those too."
        )
    whole = read_label_sets(list(data), splits=("train", "validation"))
    train = whole.split("train")
    held = tuple(image for image in whole if image.split == "validation")
    if labels is not None:
        train = label_budget(train, _budget(labels, train), seed=settings.seed)
    if unlabelled or unlabelled_from == "detected":
        train = _with_unlabelled(
            train,
            list(data),
            unlabelled or [],
            settings,
            dots=unlabelled_from == "dots",
            mpp=unlabelled_mpp,
            detector=detector,
            device=device,
        )
    steps = fit(
        train,
        LabelSet(held, whole.classes, whole.provenance),
        settings,
        out=out,
        name=name,
        parent=load_classifier(parent, device=device) if parent else None,
        device=device,
        resume=resume,
    )
    run = watch(
        _spoken(alone(steps, out), background),
        "training",
        lambda r: (r.step, r.steps, ", ".join(f"{k} {v:.3f}" for k, v in r.loss.items())),
    )
    _summarise(run, as_json)


def _stand_back(background: bool) -> None:
    """Leave the processor to the window, where the system knows priorities, and end with it.

    Two processes would write into one folder, if the run were continued by the next window
    while this one has not noticed yet.
    """
    if background and hasattr(os, "nice"):
        os.nice(NICENESS)
        threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()


def _end_after(window: int) -> None:
    """End this process once its parent has ended; what it saved is whole at any moment."""
    while os.getppid() == window:
        time.sleep(LOOK_S)
    os._exit(1)


def _spoken(
    steps: Generator[EpochReport, None, TrainingRun], background: bool
) -> Generator[EpochReport, None, TrainingRun]:
    """The same reports, each also a line of JSON on stdout where somebody listens.

    Nobody listens any more once the window is gone: then the pipe is broken, and so ends
    the training.
    """
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            run: TrainingRun = end.value
            return run
        if background:
            typer.echo(json.dumps(asdict(report)))
            sys.stdout.flush()
        yield report


def _summarise(run: TrainingRun, as_json: bool) -> None:
    from napari_nucbudget.models.card_text import score_line
    from napari_nucbudget.models.library import load_card

    best = max(run.reports, key=lambda r: r.score)
    summary = {
        "model": str(run.model_dir),
        "stopped": run.stopped,
        "epochs": len(run.reports),
        "best_epoch": best.epoch,
        "validation": best.validation,
        "seconds": round(run.reports[-1].seconds, 1),
    }
    if as_json:
        typer.echo(json.dumps(summary))
        return
    why = {"nan": "the loss was no longer a number; the best weights were kept"}
    # as measured in the end: a classifier's reports look at each nucleus once
    scores = [score_line(record) for record in load_card(run.model_dir).scores]
    typer.echo(
        f"{run.model_dir}: weights of step {best.step:,} ({why.get(run.stopped, run.stopped)})"
    )
    for line in scores or ["no validation images"]:
        typer.echo(f"  {line}")


def _classifier_settings(
    file: Path | None, options: dict[str, Any], out: Path, *, resume: bool
) -> TrainConfig:
    """The method's defaults, then the file's settings, then the options that were given."""
    from napari_nucbudget.learn.transfer import classifier_settings
    from napari_nucbudget.types.training import TrainConfig

    if resume and file is None:
        file = out / "config.json"
    chosen = _read_settings(file) if file is not None else {}
    chosen |= {key: value for key, value in options.items() if value is not None}
    method = str(chosen.get("method", "gamma-ladder"))
    if options["fine_tune"] is not None and method != "fine-tune":
        raise ConfigError(f"--fine-tune is for --method fine-tune, not {method}.")
    return TrainConfig.from_dict(classifier_settings(method, chosen))


def _budget(text: str, train: LabelSet) -> int:
    """Number of labels that ``40`` or ``1%`` means."""
    from napari_nucbudget.core.sampling import budget_size

    known = sum(int((image.nuclei.label >= 0).sum()) for image in train)
    return budget_size(text, known)


def _with_unlabelled(
    train: LabelSet,
    data: list[Path],
    paths: list[Path],
    settings: TrainConfig,
    *,
    dots: bool,
    mpp: float | None,
    detector: str,
    device: str,
) -> LabelSet:
    """The label set with more nuclei to learn from, none of them with a class."""
    from napari_nucbudget.io.label_sets import read_label_sets
    from napari_nucbudget.learn.unlabelled import read_unlabelled, with_detected, with_unlabelled
    from napari_nucbudget.models.library import load_detector

    if settings.method == "fine-tune":
        raise ConfigError(
            "The method 'fine-tune' learns from labels alone; leave --unlabelled and "
            "--unlabelled-from away, or take a method such as gamma-ladder."
        )
    more = read_unlabelled(paths, mpp=mpp)
    finder = load_detector(detector, device=device) if more.plain or not dots else None
    if not dots and finder is not None:
        steps = with_detected(train, finder)
        train = watch(steps, "detecting", lambda p: (p.done, p.total, f"{p.found:,} nuclei"))
    held = [image for image in read_label_sets(list(data)) if image.split != "train"]
    steps = with_unlabelled(train, more, finder, held=held, dots=dots, seed=settings.seed)
    train = watch(steps, "unlabelled", lambda p: (p.done, p.total, f"{p.found:,} nuclei"))
    count = sum(int((image.nuclei.label < 0).sum()) for image in train)
    typer.echo(f"{count:,} nuclei are learnt from without a label", err=True)
    return train


def _settings(
    file: Path | None, seed: int | None, out: Path, *, fine_tune: bool, resume: bool
) -> TrainConfig:
    from napari_nucbudget.learn.transfer import FINE_TUNE_DETECTOR
    from napari_nucbudget.types.training import TrainConfig

    values: dict[str, Any] = dict(FINE_TUNE_DETECTOR) if fine_tune else {}
    if resume and file is None:
        file = out / "config.json"
    if file is not None:
        values |= _read_settings(file)
    if seed is not None:
        values["seed"] = seed
    settings = TrainConfig.from_dict(values)
    if settings.method != "detection":
        raise ConfigError(
            f"The method {settings.method!r} of {file} trains a classifier: nucbudget train "
            "classifier. The method of a detector is 'detection'."
        )
    return settings


def _read_settings(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # JSON, TOML and Unicode errors alike
        raise ConfigError(f"{file} is not a TOML or JSON file of settings: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} must hold settings by name.")
    return values


def _splits(folders: list[Path], seed: int, *, spare: bool) -> tuple[LabelSet, LabelSet]:
    """Training and validation images; some are held out where none is marked.

    With `spare`, few patients are all trained on and none is held out.
    """
    from napari_nucbudget.io.label_sets import read_label_sets
    from napari_nucbudget.learn.splits import split_to_train

    labels = read_label_sets(list(folders), splits=("train", "validation"))
    train, validation, told = split_to_train(labels, seed=seed, spare=spare)
    if told:
        typer.echo(told, err=True)
    return train, validation
