"""The command ``nucbudget``: everything the viewer does, without one.

Progress goes to stderr; with ``--json`` stdout holds nothing but JSON. A
user's error is one line on stderr and exit code 2.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from napari_nucbudget.errors import ConfigError, NucbudgetError, OutputError

if TYPE_CHECKING:
    from napari_nucbudget.types.labels import LabelSet
    from napari_nucbudget.types.training import TrainConfig

__all__ = ["app", "main"]

Result = TypeVar("Result")

app = typer.Typer(
    name="nucbudget",
    help="Count and type cell nuclei in H&E histology with few labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
train_app = typer.Typer(help="Train a model on your labels.", no_args_is_help=True)
models_app = typer.Typer(help="The models that ship with the package.", no_args_is_help=True)
app.add_typer(train_app, name="train")
app.add_typer(models_app, name="models")

Model = Annotated[str, typer.Option("--model", "-m", help="Name of a model, or a model folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else to stdout.")]
DEFAULT_MODEL = "nuclei-fcn"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the entry point ``nucbudget``."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        app(arguments, prog_name="nucbudget")
    except NucbudgetError as error:
        typer.echo(f"nucbudget: {error}", err=True)
        raise SystemExit(2) from None


@app.callback()
def _about() -> None:
    pass


@app.command()
def detect(
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG or TIFF files.")],
    model: Model = DEFAULT_MODEL,
    mpp: Annotated[
        float | None, typer.Option(help="µm per pixel, where the file is silent.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score; default the model's own.")
    ] = None,
    device: Device = "auto",
    out: Annotated[
        Path | None, typer.Option(help="CSV to write; a folder where several images are given.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="PNG to draw; a folder where several images are given.")
    ] = None,
    tile: Annotated[int, typer.Option(min=64, help="Side of a tile in model pixels.")] = 512,
    as_json: AsJson = False,
) -> None:
    """Propose the nuclei of images."""
    from napari_nucbudget.models.library import load_detector

    many = len(images) > 1
    targets = [
        (_target(out, path, ".nuclei.csv", many), _target(overlay, path, ".nuclei.png", many))
        for path in images
    ]
    detector = load_detector(model, device=device)
    results, failed = [], 0
    for path, (table, picture) in zip(images, targets, strict=True):
        try:
            result = _detect_one(path, detector, mpp, threshold, tile, table, picture)
        except NucbudgetError as error:
            if not many:
                raise
            failed += 1
            typer.echo(f"nucbudget: {error}", err=True)
            results.append({"image": str(path), "error": str(error)})
            continue
        results.append(result)
        if not as_json:
            typer.echo(
                f"{path}: {result['nuclei']:,} nuclei, {result['per_mm2']:,.0f} per mm² "
                f"(threshold {result['threshold']:g}, {result['seconds']:.1f} s)"
            )
    if as_json:
        typer.echo(json.dumps({"model": detector.card.name, "images": results}))
    elif out is None and overlay is None:
        typer.echo("Nothing was written; --out FILE.csv and --overlay FILE.png do.", err=True)
    if failed:
        raise SystemExit(2)


def _detect_one(
    path: Path,
    detector: Any,
    mpp: float | None,
    threshold: float | None,
    tile: int,
    table: Path | None,
    picture: Path | None,
) -> dict[str, Any]:
    import time

    from napari_nucbudget.infer.detect import iter_detect
    from napari_nucbudget.io.formats.csv import write_points_csv
    from napari_nucbudget.io.images import open_image
    from napari_nucbudget.io.overlays import write_overlay

    started = time.monotonic()
    source = open_image(path, mpp=mpp)
    steps = iter_detect(source, detector, threshold=threshold, tile=tile)
    found = _watch(steps, path.name, lambda p: (p.done, p.total, f"{p.found:,} nuclei"))
    um = source.mpp or 0.0
    if table is not None:
        write_points_csv(table, found.nuclei, mpp=um, image=path.name)
    if picture is not None:
        write_overlay(picture, source, found.nuclei)
    mm2 = source.shape[0] * source.shape[1] * um**2 / 1e6
    return {
        "image": str(path),
        "nuclei": len(found.nuclei),
        "per_mm2": round(len(found.nuclei) / mm2, 1),
        "mm2": round(mm2, 6),
        "mpp": um,
        "threshold": found.threshold,
        "out": str(table) if table else None,
        "overlay": str(picture) if picture else None,
        "seconds": round(time.monotonic() - started, 2),
    }


def _target(given: Path | None, image: Path, suffix: str, many: bool) -> Path | None:
    """Where a result goes; checked before hours are spent on it."""
    if given is None:
        return None
    path = given / f"{image.stem}{suffix}" if many or given.is_dir() else given
    if many and given.suffix:
        raise OutputError(f"With several images, {given} must be a folder, not a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Choose another place."
        ) from error
    return path


@train_app.command("detector")
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
    run = _watch(
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


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a model, or a model folder.")],
    data: Annotated[Path, typer.Option(help="Label set folder.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    radius_um: Annotated[float, typer.Option(min=0.1, help="Matching radius in µm.")] = 3.3,
    threshold: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    record: Annotated[
        bool, typer.Option("--record", help="Write the scores into the model's card.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score a model against the dots of a label set."""
    from napari_nucbudget.infer.evaluate import evaluate_detector, score_record
    from napari_nucbudget.io.label_sets import read_label_set
    from napari_nucbudget.models.library import load_detector, model_folder, record_scores
    from napari_nucbudget.types.labels import SPLITS

    if split not in SPLITS:
        raise ConfigError(f"--split must be one of {', '.join(SPLITS)}, got {split!r}.")
    detector = load_detector(model, device=device, precision=precision)
    labels = read_label_set(data, splits=(split,))
    scores = _watch(
        evaluate_detector(labels, detector, radius_um=radius_um, threshold=threshold),
        f"{data.name} {split}",
        lambda p: (p.done, p.total, f"{p.found:,} proposals"),
    )
    if record:
        record_scores(model_folder(model), score_record(scores, data=data.name, split=split))
    if as_json:
        typer.echo(json.dumps(scores.to_dict()))
        return
    low, high = scores.f1_ci
    typer.echo(
        f"{detector.card.name} on {data.name} {split}: {scores.images} images, "
        f"{scores.nuclei:,} nuclei, radius {scores.radius_um:g} µm\n"
        f"  at threshold {scores.threshold:.2f}: F1 {scores.f1:.3f} "
        f"(95 % interval {low:.3f} to {high:.3f}), precision {scores.precision:.3f}, "
        f"recall {scores.recall:.3f}\n"
        f"  best F1 {scores.best.f1:.3f} at {scores.best.threshold:.2f}, AUPR {scores.aupr:.3f}"
    )


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """Names of the models that ship, with what they are for."""
    from napari_nucbudget.models.library import list_models, load_card

    cards = [load_card(name) for name in list_models()]
    if as_json:
        typer.echo(
            json.dumps([{"name": c.name, "task": c.task, "summary": c.summary} for c in cards])
        )
        return
    for card in cards:
        typer.echo(f"{card.name}  ({card.task}, {card.input.mpp:g} µm/px)  {card.summary}")


@models_app.command("show")
def models_show(name: str, as_json: AsJson = False) -> None:
    """A model's card: data, split, scores with intervals, licence."""
    from napari_nucbudget.models.card_text import describe
    from napari_nucbudget.models.library import load_card

    card = load_card(name)
    typer.echo(json.dumps(card.model_dump(mode="json")) if as_json else describe(card))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for picture and table.")] = Path("demo_output"),
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    viewer: Annotated[
        bool | None, typer.Option("--viewer/--no-viewer", help="Default: where there is a screen.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Propose the nuclei of the shipped sample, compare with its truth, open napari."""
    from napari_nucbudget.core.metrics import ImageDetections, detection_scores
    from napari_nucbudget.infer.evaluate import PAPER_RADIUS_UM
    from napari_nucbudget.io.formats.csv import read_points_csv
    from napari_nucbudget.io.samples import sample_path
    from napari_nucbudget.models.library import load_detector

    image = sample_path("drawn_biopsy.ome.tif")
    truth = read_points_csv(sample_path("drawn_biopsy.truth.csv"))
    table = _target(out / "drawn_biopsy.nuclei.csv", image, "", many=False)
    picture = _target(out / "drawn_biopsy.nuclei.png", image, "", many=False)
    detector = load_detector(model, device=device)
    result = _detect_one(image, detector, None, None, 512, table, picture)
    found = read_points_csv(out / "drawn_biopsy.nuclei.csv").nuclei
    pair = ImageDetections(found.yx * result["mpp"], found.score, truth.nuclei.yx * result["mpp"])
    scores = detection_scores(
        [pair],
        threshold=result["threshold"],
        radius_um=PAPER_RADIUS_UM,
        mpp=detector.card.input.mpp,
    )
    result |= {
        "model": detector.card.name,
        "true_nuclei": scores.nuclei,
        "precision": round(scores.precision, 4),
        "recall": round(scores.recall, 4),
        "f1": round(scores.f1, 4),
        "radius_um": scores.radius_um,
    }
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(
            f"{image.name}: {result['nuclei']:,} nuclei proposed by {result['model']}, "
            f"{scores.nuclei:,} drawn; F1 {scores.f1:.3f} (precision {scores.precision:.3f}, "
            f"recall {scores.recall:.3f}, radius {scores.radius_um:g} µm)\n"
            f"picture: {picture}\ntable:   {table}"
        )
    if viewer or (viewer is None and _has_screen()):
        _open_viewer(image)


def _has_screen() -> bool:
    import os

    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _open_viewer(image: Path) -> None:
    """napari with the image and the dock, in a process of its own."""
    import subprocess
    from importlib.util import find_spec

    if find_spec("napari") is None:
        raise ConfigError(
            "napari is not installed; install napari-nucbudget[gui] to see the viewer."
        )
    command = [sys.executable, "-m", "napari", "--with", "napari-nucbudget", "Detect nuclei"]
    subprocess.run([*command, "--", str(image)], check=False)


def _watch(
    steps: Generator[Any, None, Result],
    title: str,
    describe: Callable[[Any], tuple[float, float, str]],
) -> Result:
    """Result of a generator whose reports move a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, note="")
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            done, total, note = describe(report)
            bar.update(task, completed=done, total=total, note=note)


if __name__ == "__main__":
    main()
