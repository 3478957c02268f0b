"""Label set folders: dataset.json, images.csv, points.csv, images/*.png."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from collections.abc import Sequence
from csv import QUOTE_NONNUMERIC
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nucbudget.errors import (
    ConfigError,
    ImageError,
    LabelSetError,
    OutputError,
    PixelSizeError,
    PointsError,
    RegionError,
)
from napari_nucbudget.io.csv_table import read_csv_table
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.twice_dotted import one_dot_each, remarks
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region, check_mpp
from napari_nucbudget.types.labels import SPLITS, AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.stain import StainStatistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_label_set", "read_label_sets", "write_label_set"]

log = logging.getLogger(__name__)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise LabelSetError(
            f"{path.parent} is not a label set folder: it has no {path.name}. "
            "Expected: dataset.json, images.csv, points.csv and images/."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LabelSetError(f"{path} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise LabelSetError(f"{path} must hold one JSON object.")
    return values


def _read_table(path: Path, columns: set[str]) -> pd.DataFrame:
    text = dict.fromkeys(("image", "patient", "tissue", "split", "label"), str)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # lines of comment before the table; a name may hold a '#' itself
            while (line := file.readline()).startswith("#"):
                pass
            rows = line + file.read()
        # A patient may be called NA.
        table = read_csv_table(rows, dtype=text, keep_default_na=False)
    except FileNotFoundError:
        raise LabelSetError(
            f"{path.parent} is not a label set folder: it has no {path.name}."
        ) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise LabelSetError(f"{path} cannot be read: {error}.") from error
    missing = sorted(columns - set(table.columns))
    if missing:
        raise LabelSetError(
            f"{path} has no column {', '.join(missing)}; its columns are {list(table.columns)}."
        )
    return table


def _pixel_size(facts: dict[str, Any], path: Path) -> float:
    mpp = facts.get("mpp")
    if isinstance(mpp, bool) or not isinstance(mpp, (int, float)):
        raise LabelSetError(
            f'{path} must give the pixel size as "mpp" in µm per pixel, got {mpp!r}.'
        )
    try:
        return check_mpp(mpp, of=str(path))
    except PixelSizeError as error:
        raise LabelSetError(str(error)) from error


def _classes(facts: dict[str, Any], path: Path) -> ClassScheme:
    if "classes" not in facts:
        return DEFAULT_CLASSES
    try:
        return ClassScheme(tuple(NucleusClass(**c) for c in facts["classes"]))
    except (TypeError, ConfigError) as error:
        raise LabelSetError(
            f'{path}: "classes" must be a list of {{"name", "color", "key"}}: {error}'
        ) from error


def _provenance(facts: dict[str, Any], folder: str) -> Provenance:
    return Provenance(
        name=str(facts.get("name", folder)),
        licence=str(facts.get("licence", "unknown")),
        cite=str(facts.get("cite", "")),
        stain=str(facts.get("stain", "H&E")),
        notes=str(facts.get("notes", "")),
    )


def _fields(facts: dict[str, Any], names: set[str], path: Path) -> dict[str, Any]:
    fields = facts.get("fields", {})
    if not isinstance(fields, dict):
        raise LabelSetError(f'{path}: "fields" must map image names to rectangles.')
    unknown = sorted(set(fields) - names)
    if unknown:
        raise LabelSetError(
            f"{path} has fields for images that images.csv does not list: {', '.join(unknown[:5])}."
        )
    return fields


def _stain(facts: dict[str, Any], name: str, path: Path) -> StainStatistics | None:
    """How the image is stained that the image `name` was cut out of, where that is told."""
    told = facts.get("stained", {})
    try:
        if name not in told:
            return None
        values = told[name]
        mean, std = (tuple(float(v) for v in values[key]) for key in ("mean", "std"))
        return StainStatistics(mean, std, int(values["pixels"]))  # type: ignore[arg-type]
    except (AttributeError, KeyError, TypeError, ValueError, ConfigError) as error:
        raise LabelSetError(
            f'{path}: "stained" must map image names to {{"mean": [r, g, b], "std": [r, g, b], '
            f'"pixels": n}}, optical densities of tissue: {error}'
        ) from error


def _regions(value: Any, shape: tuple[int, int], where: str) -> tuple[Region, ...]:
    """Rectangles [y, x, height, width] of one image; absent means the image as a whole."""
    if value is None:
        return (Region.whole(shape),)
    try:
        return tuple(Region(*(int(n) for n in box)).clipped(shape) for box in value)
    except (TypeError, ValueError) as error:
        raise LabelSetError(
            f"{where}: fields must be lists of [y, x, height, width], got {value!r}."
        ) from error
    except RegionError as error:
        raise LabelSetError(f"{where}: {error}") from error


def read_label_set(folder: Path | str, *, splits: tuple[str, ...] | None = None) -> LabelSet:
    """Label set of one folder.

    Points that lie outside their image by more than half a pixel are refused;
    nuclei that were dotted twice are treated by `one_dot_each`, and logged. An
    optional ``fields`` object in dataset.json maps an image's name to
    rectangles ``[y, x, height, width]`` in which every nucleus is dotted;
    without it the whole image is. ``stained`` gives the stain of the image
    that one was cut out of.

    Parameters
    ----------
    folder : path
    splits : tuple of str, optional
        Read only the images of these splits.

    Raises
    ------
    LabelSetError
        Where a file or column is missing, an image is listed twice or cannot be
        read, a class is unknown, or a dot lies outside its image.
    """
    folder = Path(folder)
    whole = folder.resolve()
    facts = _read_json(folder / "dataset.json")
    mpp = _pixel_size(facts, folder / "dataset.json")
    classes = _classes(facts, folder / "dataset.json")
    provenance = _provenance(facts, whole.name)
    images = _read_table(folder / "images.csv", {"image"})
    points = _read_table(folder / "points.csv", {"image", "x", "y"})
    twice = sorted(set(images["image"][images["image"].duplicated()]))
    if twice:
        raise LabelSetError(f"{folder / 'images.csv'} lists images twice: {', '.join(twice[:5])}.")
    fields = _fields(facts, set(images["image"]), folder / "dataset.json")
    unknown = sorted(set(points["image"]) - set(images["image"]))
    if unknown:
        raise LabelSetError(
            f"{folder / 'points.csv'} has dots for images that images.csv does not list: "
            f"{', '.join(unknown[:5])}."
        )
    by_image = {str(image): dots for image, dots in points.groupby("image", sort=False)}
    annotated, twice_dotted = [], []
    for row in images.to_dict("records"):
        split = str(row.get("split", "train"))
        if split not in SPLITS:
            raise LabelSetError(
                f"{folder / 'images.csv'}: the split of {row['image']} is {split!r}; "
                f"it must be one of {', '.join(SPLITS)}."
            )
        if splits is not None and split not in splits:
            continue
        path = folder / "images" / f"{row['image']}.png"
        try:
            source = open_image(path, mpp=mpp, name=str(row["image"]))
        except ImageError as error:
            raise LabelSetError(f"{folder / 'images.csv'} lists {row['image']}: {error}") from error
        dots = by_image.get(str(row["image"]), points.iloc[:0])
        try:
            nuclei = Nuclei.from_frame(dots[[c for c in ("y", "x", "label") if c in dots]], classes)
        except (PointsError, ConfigError) as error:
            raise LabelSetError(
                f"{folder / 'points.csv'}, image {row['image']}: {error}"
            ) from error
        outside = ~Region.whole(source.shape).contains(nuclei.yx)
        if outside.any():
            y, x = nuclei.yx[outside][0]
            raise LabelSetError(
                f"{folder / 'points.csv'}: {int(outside.sum())} dots lie outside the image "
                f"{row['image']} of {source.shape[0]} x {source.shape[1]} px, the first at "
                f"x={x:g}, y={y:g}."
            )
        nuclei, doubles = one_dot_each(nuclei, mpp=mpp, image=str(row["image"]))
        twice_dotted.append(doubles)
        annotated.append(
            AnnotatedImage(
                source=source,
                nuclei=nuclei,
                fields=_regions(
                    fields.get(str(row["image"])),
                    source.shape,
                    f"{folder / 'dataset.json'}, image {row['image']}",
                ),
                patient=str(row.get("patient") or "unknown"),
                tissue=str(row.get("tissue") or "unknown"),
                split=split,
                dataset=whole.name,
                folder=str(whole),
                origin=provenance,
                stain=_stain(facts, str(row["image"]), folder / "dataset.json"),
            )
        )
    if not annotated:
        wanted = f" in the split {' or '.join(splits)}" if splits else ""
        raise LabelSetError(f"{folder} holds no image{wanted}.")
    for remark in remarks(twice_dotted):
        log.warning("%s: %s", folder / "points.csv", remark)
    return LabelSet(images=tuple(annotated), classes=classes, provenance=(provenance,))


def read_label_sets(
    folders: list[Path | str], *, splits: tuple[str, ...] | None = None
) -> LabelSet:
    """Several folders as one label set; a folder without the wanted splits adds nothing.

    A set is called as its folder; where two folders have one name, as the last
    parts of their paths that tell them apart.

    Raises
    ------
    LabelSetError
        As `read_label_set`; and where a folder is given twice, or none has an
        image of the splits.
    """
    parts = []
    for folder, name in zip(folders, _told_apart(folders), strict=True):
        listed = _read_table(Path(folder) / "images.csv", {"image"})
        if splits is None or "split" not in listed or set(listed["split"]) & set(splits):
            part = read_label_set(folder, splits=splits)
            images = tuple(replace(image, dataset=name) for image in part)
            parts.append(replace(part, images=images))
    if not parts:
        raise LabelSetError(
            f"None of {', '.join(map(str, folders))} holds an image in the split "
            f"{' or '.join(splits or ())}."
        )
    return LabelSet.concat(parts)


def _told_apart(folders: Sequence[Path | str]) -> list[str]:
    """The shortest ends of paths that differ."""
    paths = [Path(folder).resolve() for folder in folders]
    if twice := [str(f) for f, p in zip(folders, paths, strict=True) if paths.count(p) > 1]:
        raise LabelSetError(f"The label set {twice[0]} is given twice; give it once.")
    names = []
    for path in paths:
        alike = [p.parts for p in paths if p.name == path.name]
        length = next(
            n for n in range(1, len(path.parts) + 1)
            if sum(parts[-n:] == path.parts[-n:] for parts in alike) == 1
        )  # fmt: skip
        names.append("/".join(path.parts[-length:]))
    return names


def write_label_set(labels: LabelSet, folder: Path | str, *, name: str | None = None) -> Path:
    """Label set as a folder that `read_label_set` gives back equal.

    The folder is written beside its place and moved there at the end, so that
    a full disk never leaves half of one. An existing folder is not touched.

    Raises
    ------
    OutputError
        Where the folder exists or cannot be written, images differ in pixel
        size, or share a name.
    """
    folder = Path(folder)
    if folder.exists():
        raise OutputError(f"{folder} exists already; choose another name, nothing was changed.")
    facts = _facts(labels, name, folder)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        _write_files(labels, facts, temporary)
        temporary.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _facts(labels: LabelSet, name: str | None, folder: Path) -> dict[str, Any]:
    """What goes into dataset.json."""
    sizes = {round(image.mpp, 6) for image in labels}
    if len(sizes) != 1:
        raise OutputError(
            f"One label set folder has one pixel size, got images of {sorted(sizes)} µm/px; "
            "write one folder for each."
        )
    names = [image.name for image in labels]
    unfit = sorted({n for n in names if names.count(n) > 1 or not n or Path(n).name != n})
    if unfit:
        raise OutputError(
            "Image names become file names, so each must differ from the others, not be empty and "
            f"hold no slash: {', '.join(map(repr, unfit[:5]))}. Give each data set its own folder."
        )
    provenance = labels.provenance[0] if labels.provenance else Provenance(folder.name)
    fields = {
        image.name: [[r.y, r.x, r.height, r.width] for r in image.fields]
        for image in labels
        if image.fields != (Region.whole(image.source.shape),)
    }
    facts: dict[str, Any] = {
        "name": name or provenance.name,
        "licence": provenance.licence,
        "cite": provenance.cite,
        "mpp": sizes.pop(),
        "stain": provenance.stain,
        "coordinates": "x = column, y = row, 0-based pixel centres",
        "notes": provenance.notes,
        "images": len(labels),
        "classes": [
            {"name": c.name, "color": c.color, "key": c.key} for c in labels.classes.classes
        ],
    }
    if fields:
        facts["fields"] = fields
    stained = {
        image.name: {"mean": image.stain.mean, "std": image.stain.std, "pixels": image.stain.pixels}
        for image in labels
        if image.stain is not None
    }
    if stained:
        facts["stained"] = stained
    return facts


def _write_files(labels: LabelSet, facts: dict[str, Any], folder: Path) -> None:
    import pandas as pd
    from PIL import Image

    (folder / "images").mkdir(parents=True)
    (folder / "dataset.json").write_text(
        json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    pd.DataFrame(
        [
            {"image": i.name, "patient": i.patient, "tissue": i.tissue, "split": i.split}
            for i in labels
        ]
    ).to_csv(folder / "images.csv", index=False, quoting=QUOTE_NONNUMERIC)
    rows = []
    for image in labels:
        pixels = image.source.read(Region.whole(image.source.shape))
        Image.fromarray(pixels).save(folder / "images" / f"{image.name}.png")
        frame = image.nuclei.to_frame()
        rows.append(frame.assign(image=image.name, split=image.split))
    table = pd.concat(rows)[["image", "x", "y", "label", "split"]]
    # A bare carriage return in a name ends a line for readers, though not for the writer.
    table.to_csv(folder / "points.csv", index=False, quoting=QUOTE_NONNUMERIC)
