"""``nucbudget budget``: what a method learns from how many labels, as tables and figures."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_nucbudget.cli.console import Device
from napari_nucbudget.errors import ConfigError

if TYPE_CHECKING:
    from napari_nucbudget.budget.run import CellReport

__all__ = ["budget"]


def budget(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder of the experiment; shared by all parts.")],
    data: Annotated[
        Path | None,
        typer.Option(envvar="NUCBUDGET_DATA", help="Folder that holds the label set folders."),
    ] = None,
    part: Annotated[str, typer.Option(help="i/n: compute part i of n only.")] = "1/1",
    quick: Annotated[
        bool, typer.Option("--quick", help="Two draws, short schedules: minutes.")
    ] = False,
    split: Annotated[str, typer.Option(help="Images that are scored: test, validation.")] = "test",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
    results: Annotated[
        Path | None, typer.Option(help="Folder for tables and figures; default OUT/results.")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Compute nothing, write tables and figures.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Run an experiment of learning from few labels, and write its tables and figures.

    Every finished cell is a file in OUT/cells and never computed again: a run
    that was stopped begins the cell in which it was anew. Several processes may
    share the work with --part.
    """
    from napari_nucbudget.budget.recipe import read_recipe
    from napari_nucbudget.budget.report import write_report
    from napari_nucbudget.budget.run import open_store, run_recipe

    chosen = read_recipe(recipe)
    if quick:
        chosen = chosen.quickened()
    if split not in ("test", "validation"):
        raise ConfigError(f"--split must be test or validation, got {split!r}.")
    if report_only:
        store = open_store(chosen, out, split=split, reading=True)
    else:
        if data is None:
            raise ConfigError("Give the folder of the label sets with --data, or NUCBUDGET_DATA.")
        steps = run_recipe(
            chosen,
            data=data,
            out=out,
            split=split,
            part=_part(part),
            threads=threads,
            device=device,
        )
        while True:
            try:
                _say(next(steps))
            except StopIteration as end:
                store = end.value
                break
    options = ["--quick"] * quick + ["--split", split] * (split != "test")
    command = shlex.join(["nucbudget", "budget", recipe, *options, "--out", str(out)])
    for path in write_report(chosen, store, results or out / "results", split, command):
        typer.echo(str(path))


def _say(report: CellReport) -> None:
    cell = report.cell
    rest = "" if report.remaining_s is None else f", {report.remaining_s / 60:.0f} min left"
    typer.echo(
        f"[{report.done}/{report.total}{rest}] {cell.row}, {cell.budget}, draw {cell.seed}: "
        f"{report.note}{_headline(report)}",
        err=True,
    )


def _headline(report: CellReport) -> str:
    if report.result is None:
        return ""
    names = {"weighted_f1": "weighted F1", "aupr": "AUPR"}
    parts = [
        f"{label} {scores[key]:.3f} ({choice})"
        for choice, scores in report.result["scores"].items()
        for key, label in names.items()
        if key in scores
    ]
    return f", {', '.join(parts)}, trained {report.result['train_seconds']:.0f} s"


def _part(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ConfigError(f"--part must be i/n with 1 <= i <= n, such as 1/2, got {text!r}.")
    return int(index), int(count)
