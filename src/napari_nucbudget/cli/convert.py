"""``nucbudget convert``: points from one file format to another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_nucbudget.cli.console import AsJson, spare
from napari_nucbudget.errors import ConfigError, OutputError, PixelSizeError, PointsError

if TYPE_CHECKING:
    from napari_nucbudget.io.formats.format import Format
    from napari_nucbudget.io.formats.points_file import PointsFile
    from napari_nucbudget.types.classes import ClassScheme
    from napari_nucbudget.types.image import Region
    from napari_nucbudget.types.labels import LabelSet

__all__ = ["convert"]


def convert(
    given: Annotated[Path, typer.Argument(metavar="IN", help="File or folder of points.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File or folder to write.")],
    reads: Annotated[
        str | None, typer.Option("--from", help="Format of IN, where its suffix does not say.")
    ] = None,
    writes: Annotated[
        str | None, typer.Option("--to", help="Format of OUT, where its suffix does not say.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Of several images in IN, this one.")] = None,
    image: Annotated[
        Path | None, typer.Option(help="The image that the points lie on: its size and pixels.")
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="µm per pixel, in place of IN's.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Class names in order, with commas, in place of IN's.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(help="Y,X,HEIGHT,WIDTH in which every nucleus is dotted; or 'whole'."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take every proposal for a person's dot.")
    ] = False,
    crops: Annotated[
        bool, typer.Option("--crops", help="Label set: each field an image of its own.")
    ] = False,
    patient: Annotated[str | None, typer.Option(help="Label set: the patient.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Label set: licence of image and dots.")
    ] = None,
    cite: Annotated[str | None, typer.Option(help="Label set: whom to cite.")] = None,
    as_json: AsJson = False,
) -> None:
    """Convert points: CSV, GeoJSON (QuPath), parquet, COCO, label sets, counts, .mat."""
    from napari_nucbudget.io.formats import FORMATS, format_to_write, read_points, write_points

    if writes is None and not out.suffix:
        raise OutputError(f"{out} has no suffix; name the format: --to {' | '.join(_writable())}.")
    target: Format = FORMATS[writes] if writes else format_to_write(out)
    if target.write is None:
        raise OutputError(f"{target.title} can be read, but not written; choose another --to.")
    told = {"--crops": crops, "--patient": patient, "--licence": licence, "--cite": cite}
    unfit = [name for name, value in told.items() if value and target.name != "label-set"]
    if unfit:
        raise ConfigError(
            f"Only a label set takes {', '.join(unfit)}, and {out} becomes: {target.title}. Leave "
            "that away, or choose --to label-set."
        )
    found = _chosen(read_points(given, format=reads, classes=_scheme(classes)), given, only)
    if image is not None and len(found) > 1:
        raise ConfigError(
            f"{given} holds {len(found)} images; choose the one of --image by --only."
        )
    taken = sum(_proposals(points) for points in found) if accept else 0
    found = [_completed(points, image, mpp, field or [], accept) for points in found]
    several = len(found) > 1 or (only is None and _is_set(given, reads))
    places = [out] if target.name == "label-set" else _places(out, found, target, several)
    _spare(places, given, image)
    if target.name == "label-set":
        labels = _label_set(out, found, crops, patient, licence, cite, taken)
        written, remarks = labels.nuclei_count, _left_out(found, crops)
    else:
        for place, points in zip(places, found, strict=True):
            write_points(place, points, format=target.name)
        written, remarks = _nuclei(found), []
    _report(found, places, target, written, remarks, as_json)


def _writable() -> list[str]:
    from napari_nucbudget.io.formats import FORMATS

    return [name for name in FORMATS if FORMATS[name].write]


def _scheme(names: str | None) -> ClassScheme | None:
    """Classes of a list of names: the default colours and keys for those that have them."""
    from napari_nucbudget.io.formats.colors import spare_color
    from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass

    if names is None:
        return None
    known = {c.name: c for c in DEFAULT_CLASSES.classes}
    listed = [name.strip() for name in names.split(",")]
    return ClassScheme(
        tuple(known.get(n) or NucleusClass(n, spare_color(i)) for i, n in enumerate(listed))
    )


def _chosen(found: list[PointsFile], given: Path, only: str | None) -> list[PointsFile]:
    """The image of that name, with or without the suffix of its file; all without a name."""
    from napari_nucbudget.io.image_names import image_title

    if only is None:
        return found
    exact = [p for p in found if p.image == only]
    chosen = exact or [p for p in found if image_title(p) == only]
    if len(chosen) == 1:
        return chosen
    there = ", ".join(p.image or "(without a name)" for p in (chosen or found)[:8])
    if not chosen:
        raise PointsError(f"{given} holds no image {only!r}; it holds {there}.")
    raise PointsError(
        f"{given} holds {len(chosen)} images {only!r}: {there}. Give the whole name of one."
    )


def _proposals(points: PointsFile) -> int:
    from napari_nucbudget.types.nuclei import HUMAN

    return int((points.nuclei.origin != HUMAN).sum())


def _completed(
    points: PointsFile, image: Path | None, mpp: float | None, fields: list[str], accept: bool
) -> PointsFile:
    """The points with what the options add."""
    from napari_nucbudget.io.formats.points_file import checked
    from napari_nucbudget.io.images import open_image
    from napari_nucbudget.io.training_labels import accept_all
    from napari_nucbudget.types.image import check_mpp, mpp_differ

    if mpp is not None:
        points = replace(points, mpp=check_mpp(mpp, of="--mpp"))
    if image is not None:
        source = open_image(image, mpp=mpp)
        if mpp_differ(source.mpp, points.mpp):
            raise PixelSizeError(
                f"{image.name} says {source.mpp:.4g} µm per pixel, the points say "
                f"{points.mpp:.4g}. Give the one that holds: --mpp."
            )
        if source.mpp is None and points.mpp is not None:
            source = open_image(image, mpp=points.mpp)
        points = checked(
            replace(points, source=source, shape=source.shape, mpp=source.mpp, image=image.name)
        )
    if fields:
        points = replace(points, fields=tuple(_region(text, points) for text in fields))
    return replace(points, nuclei=accept_all(points.nuclei)) if accept else points


def _region(text: str, points: PointsFile) -> Region:
    from napari_nucbudget.types.image import Region

    if text == "whole":
        if points.shape is None:
            raise ConfigError("--field whole needs the size of the image: give --image.")
        return Region.whole(points.shape)
    try:
        y, x, height, width = (int(n) for n in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--field takes Y,X,HEIGHT,WIDTH in whole pixels, or 'whole', got {text!r}."
        ) from error
    region = Region(y, x, height, width)
    if height < 1 or width < 1:
        raise ConfigError(f"--field must be at least a pixel high and wide, got {text!r}.")
    return region if points.shape is None else region.clipped(points.shape)


def _label_set(
    out: Path,
    found: list[PointsFile],
    crops: bool,
    patient: str | None,
    licence: str | None,
    cite: str | None,
    taken: int,
) -> LabelSet:
    from napari_nucbudget.infer.crop_stain import with_stain
    from napari_nucbudget.io.label_sets import write_label_set
    from napari_nucbudget.io.training_labels import training_labels
    from napari_nucbudget.types.labels import Provenance

    notes = f"{taken:,} proposals were accepted as they were." if taken else ""
    before = found[0].labelled.provenance if found and found[0].labelled else None
    before = before or Provenance(out.name)
    provenance = replace(
        before,
        name=out.name,
        licence=licence or before.licence,
        cite=cite or before.cite,
        notes=" ".join(filter(None, (before.notes, notes))),
    )
    labels = training_labels(found, crops=crops, provenance=provenance, patient=patient)
    write_label_set(with_stain(labels), out)
    return labels


def _nuclei(found: list[PointsFile]) -> int:
    return sum(len(points.nuclei) for points in found)


def _left_out(found: list[PointsFile], crops: bool) -> list[str]:
    """What of the points did not become labels, and why."""
    proposed = sum(_proposals(points) for points in found)
    beyond = sum(_beyond(points, crops) for points in found)
    remarks = []
    if proposed:
        remarks.append(
            f"{proposed:,} proposals that nobody answered were left out; --accept takes them."
        )
    if beyond:
        remarks.append(f"{beyond:,} dots outside the image, or outside its crops, were left out.")
    return remarks


def _beyond(points: PointsFile, crops: bool) -> int:
    """Number of persons' dots outside the image, or in no field where these are cut out."""
    import numpy as np

    from napari_nucbudget.types.image import Region
    from napari_nucbudget.types.nuclei import HUMAN

    if points.source is None:
        return 0
    yx = points.nuclei.yx[points.nuclei.origin == HUMAN]
    shape = points.source.shape
    parts = [field.clipped(shape) for field in points.fields] if crops else [Region.whole(shape)]
    return int((~np.any([part.contains(yx) for part in parts], axis=0)).sum())


def _is_set(given: Path, reads: str | None) -> bool:
    """Whether it is a CRCHistoPhenotypes folder of folders, which may hold one image only."""
    from napari_nucbudget.io.formats import format_to_read

    if not given.is_dir() or any(given.glob("*.mat")):
        return False
    return (reads or format_to_read(given).name) == "crchisto"


def _places(out: Path, found: list[PointsFile], target: Format, several: bool) -> list[Path]:
    """One file an image; a folder of them where there are several, or OUT is one."""
    from napari_nucbudget.io.image_names import image_title

    if len(found) == 1 and not out.is_dir() and (out.suffix or not several):
        return [out]
    if out.suffix and not out.is_dir():
        raise OutputError(
            f"There are {len(found)} images: {out} must be a folder (with --to {target.name}), "
            "or choose one image by --only."
        )
    suffix = target.suffixes[0]
    names = [image_title(p) or f"image{i + 1}" for i, p in enumerate(found)]
    if len(set(names)) < len(names):
        names = [f"{name}-{i + 1}" for i, name in enumerate(names)]
    return [out / f"{name}{suffix}" for name in names]


def _spare(places: list[Path], given: Path, image: Path | None) -> None:
    """Refuse to write over the image or the input, or into a label set that is the input."""
    from napari_nucbudget.io.formats.label_set import is_label_set

    for place in places:
        if image is not None:
            spare(image, place)
        if not given.is_dir():
            spare(given, place, what="the input")
        elif is_label_set(given):
            spare(given, place, what="the label set that is read")


def _report(
    found: list[PointsFile],
    places: list[Path],
    target: Format,
    nuclei: int,
    left_out: list[str],
    as_json: bool,
) -> None:
    # What is said of a table as a whole, each of its images says.
    remarks = list(dict.fromkeys(remark for points in found for remark in points.remarks))
    remarks += left_out
    lost = list(dict.fromkeys(words for points in found for words in target.loses(points)))
    if lost and target.read is not None:
        remarks.append(f"{target.title} does not keep: {', '.join(lost)}.")
    if as_json:
        result: dict[str, Any] = {
            "format": target.name,
            "images": len(found),
            "nuclei": nuclei,
            "out": [str(place) for place in places],
            "remarks": remarks,
        }
        typer.echo(json.dumps(result))
        return
    for remark in remarks:
        typer.echo(f"nucbudget: {remark}", err=True)
    where = str(places[0]) if len(places) == 1 else f"{places[0].parent} ({len(places)} files)"
    typer.echo(f"{where}: {nuclei:,} nuclei, {target.title}")
