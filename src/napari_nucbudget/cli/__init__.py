"""The command ``nucbudget``: everything the viewer does, without one.

Progress goes to stderr; with ``--json`` stdout holds nothing but JSON. A
user's error is one line on stderr and exit code 2.
"""

from __future__ import annotations

import logging
import re
import sys
from io import TextIOWrapper
from pathlib import Path

import typer

from napari_nucbudget.cli.budget import budget
from napari_nucbudget.cli.classify import classify
from napari_nucbudget.cli.cluster import cluster
from napari_nucbudget.cli.convert import convert
from napari_nucbudget.cli.demo import demo
from napari_nucbudget.cli.detect import detect
from napari_nucbudget.cli.evaluate import evaluate
from napari_nucbudget.cli.models import models_list, models_show
from napari_nucbudget.cli.sample_slide import sample_slide
from napari_nucbudget.cli.slide import slide
from napari_nucbudget.cli.stopping import one_stop
from napari_nucbudget.cli.train import train_classifier, train_detector
from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.models.device import is_out_of_memory

__all__ = ["app", "main"]

app = typer.Typer(
    name="nucbudget",
    help="Count and type cell nuclei in H&E histology with few labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
train_app = typer.Typer(help="Train a model on your labels.", no_args_is_help=True)
train_app.callback()(lambda: None)
train_app.command("detector")(train_detector)
train_app.command("classifier")(train_classifier)
models_app = typer.Typer(help="The models that ship with the package.", no_args_is_help=True)
models_app.command("list")(models_list)
models_app.command("show")(models_show)
app.command()(detect)
app.command()(classify)
app.command()(convert)
app.add_typer(train_app, name="train")
app.command()(evaluate)
app.command()(slide)
app.command()(cluster)
app.command("sample-slide")(sample_slide)
app.add_typer(models_app, name="models")
app.command()(budget)
app.command()(demo)


STOPPED = 130
"""Exit code after Ctrl+C, as of every program that SIGINT ends."""
OUT_OF_MEMORY = (
    "Memory ran out. Close other programs, take less at a time (of a training: a smaller "
    "batch_size), or compute on the processor (--device cpu)."
)

HOME = re.compile(r"^(--[a-z-]+=|)~(?=/|$)")

# typer brings its own copy of click in newer versions, so the class is found through typer.
_UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the entry point ``nucbudget``.

    Raises
    ------
    SystemExit
        With 2 after a user's error, 130 after Ctrl+C.
    """
    handler = logging.StreamHandler(sys.stderr)
    # dask sets its own loggers to INFO, which the level of the root logger does not hold back.
    handler.setLevel(logging.WARNING)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[handler])
    # What it logs of damaged files, our own errors say.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    # A name in another encoding than the system's comes out as the bytes that it is.
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        with one_stop():
            # newer versions of typer give 130 back where older ones raise
            if app(_expanded(arguments), prog_name="nucbudget", standalone_mode=False) == STOPPED:
                raise KeyboardInterrupt
    except NucbudgetError as error:
        _fail(str(error))
    except _UsageProblem as error:
        _fail(error.format_message())  # type: ignore[attr-defined]
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename} cannot be used: {error.strerror}.")
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("nucbudget: stopped", err=True)
        raise SystemExit(STOPPED) from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _fail(OUT_OF_MEMORY)


def _expanded(arguments: list[str] | None) -> list[str]:
    """The arguments with the home folder in place of ~, which shells leave in --out=~/x.csv."""
    given = sys.argv[1:] if arguments is None else arguments
    return [HOME.sub(lambda found: found[1] + str(Path.home()), text) for text in given]


def _fail(message: str) -> None:
    if message:  # the help that a bare command prints comes as an error without words
        typer.echo(f"nucbudget: {message}", err=True)
    raise SystemExit(2)
