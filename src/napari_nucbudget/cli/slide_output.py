"""What the commands for whole slides share: folders, sizes in words, progress, the last lines."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer

from napari_nucbudget.core.outline import Outlines
from napari_nucbudget.errors import ConfigError, OutputError, PointsError
from napari_nucbudget.types.progress import time_in_words

__all__ = ["bytes_of", "finish", "folders_of", "follow", "regions_of", "regions_on"]

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
TITLE_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr")
REGION_SUFFIXES = (".geojson", ".json", ".csv")
LINE_EVERY_S = 30.0
"""Seconds between lines of progress where stderr is no terminal, but a log."""


def bytes_of(text: str) -> int:
    """Number of bytes of a size such as 4GiB, 3.5G or 900MB.

    Raises
    ------
    ConfigError
        Where it is no such size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?)?B?\s*", text, re.IGNORECASE)
    if not found:
        raise ConfigError(f"A size is written as in 4GiB or 900MB, got {text!r}.")
    return int(float(found[1]) * UNITS[(found[2] or "").upper()])


def folders_of(slides: list[Path], out: Path) -> list[Path]:
    """Folder of each slide's result in `out`, named after the slide.

    Raises
    ------
    OutputError
        Where two slides have the same name, `out` is a file, or a result would lie in its slide.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; --out names a folder, which may be new.")
    names = [_title(path) for path in slides]
    for name in names:
        same = [str(p) for p, n in zip(slides, names, strict=True) if n == name]
        if len(same) > 1:
            raise OutputError(
                f"{' and '.join(same)} would both be written to {out / name}. Compute them with "
                "different --out folders."
            )
    folders = [out / name for name in names]
    for path, folder in zip(slides, folders, strict=True):
        if path.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise OutputError(
                f"{folder} lies in the slide {path} itself; give another folder with --out."
            )
    return folders


def _title(path: Path) -> str:
    name = path.name
    for suffix in TITLE_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem


def regions_of(slides: list[Path], regions: Path | None) -> list[Path | None]:
    """File with the regions of each slide; in a folder it is named after the slide.

    Raises
    ------
    ConfigError
        Where one file is given for several slides.
    PointsError
        Where a slide has no file in the folder.
    """
    if regions is None:
        return [None] * len(slides)
    if not regions.is_dir():
        if len(slides) > 1:
            raise ConfigError(
                f"{regions} cannot be the regions of {len(slides)} slides. Put a file for each "
                f"slide into one folder ({_title(slides[0])}.geojson and so on) and give the "
                "folder."
            )
        return [regions]
    found: list[Path | None] = []
    for slide in slides:
        named = [regions / f"{_title(slide)}{suffix}" for suffix in REGION_SUFFIXES]
        there = [path for path in named if path.exists()]
        if not there:
            raise PointsError(
                f"{regions} holds no regions for {slide.name}; {named[0].name} was expected."
            )
        found.append(there[0])
    return found


def regions_on(slide: Path, regions: Path | None, mpp: float | None) -> dict[str, Outlines]:
    """Regions on a slide, read and checked before anything is computed; none without a file.

    Raises
    ------
    ImageError
        Where the slide cannot be read.
    PointsError, RegionError
        Where the regions cannot; see `read_regions`.
    """
    if regions is None:
        return {}
    from napari_nucbudget.io.images import open_image
    from napari_nucbudget.io.regions import read_regions

    source = open_image(slide, mpp=mpp)
    try:
        return read_regions(regions, source.shape)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def follow(steps: Generator[Any, None, Any], title: str) -> Any:
    """Result of a slide run, with a bar on a terminal and a line now and then in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    told = time.monotonic()
    shown = console.is_terminal
    with Progress(*columns, console=console) if shown else nullcontext() as bar:
        task = None if bar is None else bar.add_task(title, total=None, note="")
        first = True
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                return end.value
            note = f"{report.found:,} nuclei"
            if report.seconds_left is not None:
                note += f", {time_in_words(report.seconds_left)} left"
            if first and report.resumed:
                typer.echo(
                    f"{title}: going on with {report.resumed:,} blocks done, "
                    f"{report.found:,} nuclei",
                    err=True,
                )
            if bar is not None and task is not None:
                bar.update(task, completed=report.done, total=report.total, note=note)
            elif not first and time.monotonic() - told > LINE_EVERY_S:
                told = time.monotonic()
                share = report.done / max(report.total, 1)
                typer.echo(f"{title}: {share:.1%}, {note}", err=True)
            first = False


def finish(result: Any, *, report: bool, regions: dict[str, Outlines]) -> dict[str, Any]:
    """Write what is derived from a finished run, and give the facts about it for printing."""
    from napari_nucbudget.infer.slide_summary import summarize

    summary = summarize(result, report=report, regions=regions)
    for region, reason in result.table.skipped:
        typer.echo(
            f"nucbudget: not computed: y={region.y}, x={region.x}, height={region.height}, "
            f"width={region.width}: {reason}",
            err=True,
        )
    return {
        "slide": summary.name,
        "out": str(result.folder),
        "nuclei": result.table.nuclei,
        "counts": summary.counts,
        "mm2": round(summary.area_mm2, 6),
        "per_mm2": round(summary.per_mm2, 1),
        "regions": [
            {
                "region": row.region,
                "nuclei": row.nuclei,
                "mm2": round(row.area_mm2, 6),
                "per_mm2": round(row.per_mm2, 1),
            }
            for row in summary.regions
        ],
        "mpp": result.mpp,
        "skipped": [[r.y, r.x, r.height, r.width] for r, _ in result.table.skipped],
        "resumed_blocks": result.resumed,
        "report": str(summary.report) if summary.report else None,
        "seconds": round(result.seconds, 2),
    }
