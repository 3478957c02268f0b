"""``nucbudget sample-slide``: a drawn whole slide whose nuclei are all known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from napari_nucbudget.cli.console import watch
from napari_nucbudget.errors import ConfigError

__all__ = ["sample_slide"]


def sample_slide(
    out: Annotated[Path, typer.Argument(help="File to write, NAME.ome.tif.")],
    size: Annotated[str, typer.Option(help="Height x width in pixels.")] = "26000x26000",
    mpp: Annotated[float, typer.Option(help="µm per pixel.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Another seed is another slide.")] = 0,
    tissue: Annotated[float, typer.Option(help="Share of the area with tissue.")] = 0.35,
    distinct: Annotated[int, typer.Option(help="Blocks that are drawn, some 10 s each.")] = 4,
) -> None:
    """Draw a tiled, pyramidal slide of any size, and its truth as NAME.truth.csv beside it."""
    from napari_nucbudget.io.samples.slide import iter_write_slide

    found = re.fullmatch(r"\s*(\d+)\s*[x×, ]\s*(\d+)\s*", size)
    if not found:
        raise ConfigError(f"The size is written HEIGHTxWIDTH, as in 26000x26000, got {size!r}.")
    shape = (int(found[1]), int(found[2]))
    steps = iter_write_slide(out, shape, mpp=mpp, seed=seed, tissue=tissue, distinct=distinct)
    slide = watch(steps, out.name, lambda p: (p.done, p.total, p.message))
    count = sum(len(slide.row_of_nuclei(row)) for row in range(slide.kind.shape[0]))
    typer.echo(
        f"{out}: {shape[0]:,} x {shape[1]:,} pixels, {count:,} nuclei, "
        f"{out.stat().st_size / 1e6:,.0f} MB"
    )
