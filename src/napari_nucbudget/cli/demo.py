"""``nucbudget demo``: the main job on the shipped sample."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from napari_nucbudget.cli.console import AsJson, Device, Model, writable
from napari_nucbudget.cli.detect import detect_one
from napari_nucbudget.cli.runtime import Runtime, fit
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.models import DEFAULT_DETECTOR

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="Folder for picture and table.")] = Path("demo_output"),
    model: Model = DEFAULT_DETECTOR,
    device: Device = "auto",
    runtime: Runtime = "auto",
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
    table = writable(out / "drawn_biopsy.nuclei.csv", image, "", many=False)
    picture = writable(out / "drawn_biopsy.nuclei.png", image, "", many=False)
    detector = fit(load_detector(model, device=device), runtime)
    result = detect_one(image, detector, None, None, None, None, table, picture)
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
        _open_viewer(out / "drawn_biopsy.nuclei.csv")


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _open_viewer(points: Path) -> None:
    """napari with the sample, the proposals and the dock, in a process of its own."""
    if find_spec("napari") is None:
        raise ConfigError(
            "napari is not installed; install napari-nucbudget[gui] to see the viewer."
        )
    subprocess.run([sys.executable, "-m", "napari_nucbudget.ui.app", str(points)], check=False)
