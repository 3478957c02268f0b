"""``nucbudget detect``: images to points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_nucbudget.cli.console import (
    AsJson,
    Device,
    Model,
    apart,
    place,
    table_format,
    watch,
    writable,
)
from napari_nucbudget.cli.runtime import Runtime, fit_both
from napari_nucbudget.errors import ConfigError, NucbudgetError
from napari_nucbudget.models import DEFAULT_DETECTOR

__all__ = ["detect", "detect_one"]


def detect(
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG or TIFF files.")],
    model: Model = DEFAULT_DETECTOR,
    mpp: Annotated[
        float | None, typer.Option(help="µm per pixel, in place of what the file says.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score; default the model's own.")
    ] = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            parser=place,
            metavar="PATH",
            help="Table to write: .csv, .geojson (QuPath), .parquet, .coco.json, .counts.csv; "
            "a folder, which may be new (NAME/), where several images are given.",
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Format of --out, where its suffix does not say.")
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            parser=place,
            metavar="PATH",
            help="PNG to draw; a folder where several images are given.",
        ),
    ] = None,
    classify: Annotated[
        str | None, typer.Option(help="Also give every nucleus a class, by this classifier.")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(min=64, help="Side of a tile in model pixels; default: the model's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Propose the nuclei of images."""
    from napari_nucbudget.io.overlays import check_overlay
    from napari_nucbudget.models.library import load_classifier, load_detector

    if to is not None and out is None:
        raise ConfigError("--to is the format of --out; give that too.")
    many = len(images) > 1
    suffix = table_format(out, to, folder=many).suffixes[0] if out else ""
    tables = [writable(out, path, suffix, many) for path in images]
    pictures = [writable(overlay, path, ".nuclei.png", many) for path in images]
    apart(tables, images)
    apart(pictures, images)
    for png in filter(None, pictures):
        check_overlay(png)
    detector = load_detector(model, device=device)
    classifier = load_classifier(classify, device=device) if classify else None
    detector, classifier = fit_both(detector, classifier, runtime)
    results, failed = [], 0
    for path, table, picture in zip(images, tables, pictures, strict=True):
        try:
            result = detect_one(
                path, detector, classifier, mpp, threshold, tile, table, picture, to
            )
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
            if result["counts"]:
                typer.echo("  " + ", ".join(f"{n:,} {c}" for c, n in result["counts"].items()))
    if as_json:
        typer.echo(json.dumps({"model": detector.card.name, "images": results}))
    elif out is None and overlay is None:
        typer.echo("Nothing was written; --out FILE.csv and --overlay FILE.png do.", err=True)
    if failed:
        raise SystemExit(2)


def detect_one(
    path: Path,
    detector: Any,
    classifier: Any,
    mpp: float | None,
    threshold: float | None,
    tile: int | None,
    table: Path | None,
    picture: Path | None,
    to: str | None = None,
) -> dict[str, Any]:
    import time

    from napari_nucbudget.infer.classify import iter_classify
    from napari_nucbudget.infer.detect import iter_detect
    from napari_nucbudget.io.formats import write_points
    from napari_nucbudget.io.formats.points_file import PointsFile
    from napari_nucbudget.io.images import open_image
    from napari_nucbudget.io.overlays import write_overlay

    started = time.monotonic()
    source = open_image(path, mpp=mpp)
    steps = iter_detect(source, detector, threshold=threshold, tile=tile)
    found = watch(steps, path.name, lambda p: (p.done, p.total, f"{p.found:,} nuclei"))
    nuclei = found.nuclei
    if classifier is not None:
        typing = iter_classify(source, nuclei, classifier)
        nuclei = watch(typing, path.name, lambda p: (p.done, p.total, "typing"))
    um = source.mpp or 0.0
    if table is not None:
        points = PointsFile(nuclei, source.mpp, path.name, source.shape)
        write_points(table, points, format=to)
    if picture is not None:
        write_overlay(picture, source, nuclei)
    mm2 = source.shape[0] * source.shape[1] * um**2 / 1e6
    return {
        "image": str(path),
        "nuclei": len(nuclei),
        "counts": nuclei.counts() if classifier is not None else None,
        "per_mm2": round(len(nuclei) / mm2, 1),
        "mm2": round(mm2, 6),
        "mpp": um,
        "threshold": found.threshold,
        "out": str(table) if table else None,
        "overlay": str(picture) if picture else None,
        "seconds": round(time.monotonic() - started, 2),
    }
