"""``nucbudget train``: labels to a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_nucbudget.cli.console import AsJson, Device, watch
from napari_nucbudget.errors import ConfigError

if TYPE_CHECKING:
    from napari_nucbudget.types.labels import LabelSet
    from napari_nucbudget.types.training import TrainConfig

__all__ = ["train_detector"]


def train_detector(
    data: Annotated[list[Path], typer.Option(help="Label set folder; may be given repeatedly.")],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    parent: Annotated[str | None, typer.Option(help="Start from this model's weights.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file of settings.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and crops.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; default the folder's.")
    ] = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a detector on dots, from scratch or from a parent model."""
    from napari_nucbudget.learn.fit import fit
    from napari_nucbudget.models.library import load_detector

    settings = _settings(config, seed, out, fine_tune=parent is not None, resume=resume)
    train, validation = _splits(data, settings.seed)
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
        steps,
        "training",
        lambda r: (r.step, r.steps, f"F1 {r.score:.3f}, loss {r.loss['total']:.4f}"),
    )
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
    else:
        why = {"nan": "the loss was no longer a number; the best weights were kept"}
        typer.echo(
            f"{run.model_dir}: validation F1 {best.score:.3f} after step {best.step:,} "
            f"({why.get(run.stopped, run.stopped)})"
        )


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
    return TrainConfig.from_dict(values)


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


def _splits(folders: list[Path], seed: int) -> tuple[LabelSet, LabelSet]:
    """Training and validation images; some are held out where none is marked."""
    from napari_nucbudget.core.sampling import hold_out
    from napari_nucbudget.io.label_sets import read_label_sets

    labels = read_label_sets(list(folders), splits=("train", "validation"))
    if not any(image.split == "validation" for image in labels):
        labels = hold_out(labels, seed=seed)
        held = labels.split("validation")
        names = ", ".join(image.name for image in held)
        typer.echo(f"No validation image is marked; held out {len(held)}: {names}", err=True)
    return labels.split("train"), labels.split("validation")
