"""What the commands for whole slides share: folders, sizes in words, progress, the last lines."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import typer

from napari_nucbudget.errors import ConfigError, OutputError
from napari_nucbudget.types.progress import time_in_words

__all__ = ["bytes_of", "finish", "folders_of", "follow"]

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
TITLE_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr")
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
        Where two slides have the same name.
    """
    names = [_title(path) for path in slides]
    for name in names:
        same = [str(p) for p, n in zip(slides, names, strict=True) if n == name]
        if len(same) > 1:
            raise OutputError(
                f"{' and '.join(same)} would both be written to {out / name}. Compute them with "
                "different --out folders."
            )
    return [out / name for name in names]


def _title(path: Path) -> str:
    name = path.name
    for suffix in TITLE_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem


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
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, note="")
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
            bar.update(task, completed=report.done, total=report.total, note=note)
            if not console.is_terminal and not first and time.monotonic() - told > LINE_EVERY_S:
                told = time.monotonic()
                share = report.done / max(report.total, 1)
                typer.echo(f"{title}: {share:.1%}, {note}", err=True)
            first = False


def finish(result: Any, *, report: bool) -> dict[str, Any]:
    """Write what is derived from a finished run, and give the facts about it for printing."""
    from napari_nucbudget.infer.slide_summary import summarize

    summary = summarize(result, report=report)
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
        "mpp": result.mpp,
        "skipped": [[r.y, r.x, r.height, r.width] for r, _ in result.table.skipped],
        "resumed_blocks": result.resumed,
        "report": str(summary.report) if summary.report else None,
        "seconds": round(result.seconds, 2),
    }
