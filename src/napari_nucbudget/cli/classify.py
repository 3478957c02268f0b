"""``nucbudget classify``: a class for every point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_nucbudget.cli.console import AsJson, Device, place, table_format, watch, writable
from napari_nucbudget.cli.runtime import Runtime, fit
from napari_nucbudget.errors import PixelSizeError, PointsError

__all__ = ["classify"]


def classify(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG or TIFF file.")],
    points: Annotated[Path, typer.Argument(help="Table of its nuclei: CSV, GeoJSON, parquet ...")],
    model: Annotated[str, typer.Option("--model", "-m", help="Name of a model, or its folder.")],
    out: Annotated[
        Path,
        typer.Option(
            parser=place, metavar="PATH", help="Table to write; its suffix says which. Or a folder."
        ),
    ],
    mpp: Annotated[
        float | None, typer.Option(help="µm per pixel, in place of what image and table say.")
    ] = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    as_json: AsJson = False,
) -> None:
    """Give every nucleus of a table a class and its probabilities."""
    from napari_nucbudget.infer.classify import iter_classify
    from napari_nucbudget.io.formats import read_points, write_points
    from napari_nucbudget.io.formats.points_file import PointsFile
    from napari_nucbudget.io.images import open_image
    from napari_nucbudget.models.library import load_classifier
    from napari_nucbudget.types.image import mpp_differ

    target = writable(out, image, table_format(out, None).suffixes[0], many=False)
    tables = read_points(points)
    if len(tables) != 1:
        raise PointsError(
            f"{points} holds the nuclei of {len(tables)} images; take those of {image.name} "
            "out of it first: nucbudget convert --only."
        )
    (table,) = tables
    for remark in table.remarks:
        typer.echo(f"nucbudget: {remark}", err=True)
    source = open_image(image, mpp=mpp)
    if mpp is None and mpp_differ(source.mpp, table.mpp):
        raise PixelSizeError(
            f"{image.name} says {source.mpp:.4g} µm per pixel, {points.name} says "
            f"{table.mpp:.4g}. Give the one that holds: --mpp."
        )
    if source.mpp is None and table.mpp is not None:
        source = open_image(image, mpp=table.mpp)
    if source.mpp is None:
        raise PixelSizeError(
            f"Neither {image.name} nor {points.name} says how large a pixel is; give --mpp."
        )
    classifier = fit(load_classifier(model, device=device), runtime)
    typed = watch(
        iter_classify(source, table.nuclei, classifier),
        image.name,
        lambda p: (p.done, p.total, f"{p.done:,} nuclei"),
    )
    assert target is not None
    write_points(target, PointsFile(typed, source.mpp, image.name, source.shape, table.fields))
    counts = typed.counts()
    if as_json:
        typer.echo(json.dumps({"image": str(image), "counts": counts, "out": str(target)}))
    else:
        typer.echo(f"{target}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items()))
