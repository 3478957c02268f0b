"""What all commands share: options, a progress bar on stderr, places to write to."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.files import refuse_redirected
from napari_nucbudget.types.progress import result_of

__all__ = [
    "AsJson",
    "Device",
    "Model",
    "apart",
    "place",
    "spare",
    "table_format",
    "watch",
    "writable",
]

Result = TypeVar("Result")

Model = Annotated[str, typer.Option("--model", "-m", help="Name of a model, or a model folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else to stdout.")]


def place(text: str) -> Path:
    """A path that was typed; one that ends in a slash is a folder, and is made."""
    path = Path(text)
    if text.endswith(("/", os.sep)):
        path.mkdir(parents=True, exist_ok=True)
    return path


def table_format(out: Path, name: str | None, *, folder: bool = False) -> Any:
    """Format of a table: of that name, or of the suffix; CSV where neither says it.

    Raises
    ------
    OutputError
        Where the suffix is not known, or the format is no file of one image's nuclei.
    """
    from napari_nucbudget.io.formats import FORMATS, format_to_write

    plain = folder or out.is_dir() or (out.exists() and not out.is_file())
    chosen = FORMATS[name or "csv"] if name or plain else format_to_write(out)
    if chosen.write is None or chosen.folder:
        raise OutputError(
            f"{chosen.title} is not written here; write a table, then nucbudget convert."
        )
    return chosen


def writable(given: Path | None, image: Path, suffix: str, many: bool) -> Path | None:
    """Where a result goes; checked before hours are spent on it.

    Raises
    ------
    OutputError
        Where nothing can be written there, or the image itself is.
    """
    if given is None:
        return None
    refuse_redirected(given)
    path = given / f"{image.stem}{suffix}" if many or given.is_dir() else given
    if many and given.suffix and not given.is_dir():
        raise OutputError(f"With several images, {given} must be a folder, not a file.")
    try:
        spare(image, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{secrets.token_hex(8)}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Choose another place."
        ) from error
    return path


def spare(given: Path, place: Path, *, what: str = "the image") -> None:
    """Refuse to write a result over what it is made from, or into a folder of that.

    Raises
    ------
    OutputError
    """
    if place.exists() and given.exists() and place.samefile(given):
        raise OutputError(f"{place} is {what} itself; choose another place for the result.")
    if given.is_dir() and place.resolve().is_relative_to(given.resolve()):
        raise OutputError(f"{place} lies inside {what}; choose another place for the result.")


def apart(places: Iterable[Path | None], images: Iterable[Path]) -> None:
    """Refuse results of which one would replace another.

    Raises
    ------
    OutputError
    """
    owner: dict[Path, Path] = {}
    for place, image in zip(places, images, strict=True):
        if place is None:
            continue
        other = owner.setdefault(place.resolve(), image)
        if other is not image:
            raise OutputError(
                f"{other} and {image} would both be written to {place}; give them one after the "
                "other, each with a folder of its own."
            )


def watch(
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
    if not console.is_terminal:
        return result_of(steps)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None, note="")
        while True:
            try:
                report = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            done, total, note = describe(report)
            bar.update(task, completed=done, total=total, note=note)
