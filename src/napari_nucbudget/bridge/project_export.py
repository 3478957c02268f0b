"""Writing the nuclei of a project: one file an image, or one label set folder of all."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.bridge.project_points import project_labels, project_points
from napari_nucbudget.errors import OutputError
from napari_nucbudget.infer.crop_stain import with_stain
from napari_nucbudget.io.formats import FORMATS, write_points
from napari_nucbudget.io.formats.format import Format
from napari_nucbudget.io.label_sets import write_label_set
from napari_nucbudget.project import SUFFIX, ProjectImage, ProjectStore
from napari_nucbudget.project.reading import Which
from napari_nucbudget.types.image import ImageSource
from napari_nucbudget.types.labels import Provenance
from napari_nucbudget.types.progress import Progress

__all__ = ["ExportRequest", "Written", "file_name", "iter_export"]


@dataclass(frozen=True)
class ExportRequest:
    """What is to be written, and where.

    Attributes
    ----------
    images : tuple of int
    format : str
        A name of `FORMATS`.
    path : Path
        The file or label set folder; the folder for the files where `one_file` is False.
    one_file : bool
        Write the nuclei of the only image to `path` itself.
    replace : bool
        Write over files that exist.
    which, ids, reading
        As `project_points`.
    crops, provenance
        As `project_labels`.
    sources : mapping of image id to ImageSource
        Pixels, for label sets.
    """

    images: tuple[int, ...]
    format: str
    path: Path
    one_file: bool = True
    which: Which = "visible"
    ids: NDArray[np.int64] | None = None
    reading: int = 0
    replace: bool = False
    crops: bool = False
    provenance: Provenance | None = None
    sources: Mapping[int, ImageSource] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What an export has made."""

    paths: tuple[Path, ...]
    nuclei: int
    remarks: tuple[str, ...] = ()


def file_name(image: ProjectImage, format: str) -> str:
    """Name of the file of an image in a format, fit for every file system."""
    chosen: Format = FORMATS[format]
    stem = re.sub(r" \[[0-9a-f]{8}\]$", "", image.name)  # the tag of an array
    stem = re.sub(r"\.(ome\.)?(tiff?|png|jpe?g|svs|ndpi|scn|mrxs|bif|vms)$", "", stem)
    stem = re.sub(r"[^\w .()\[\]-]+", "_", stem).strip(" .") or "image"
    return stem + chosen.suffixes[0]


def iter_export(store: ProjectStore, request: ExportRequest) -> Generator[Progress, None, Written]:
    """Write what is asked for; yields before each file and returns what was written.

    Raises
    ------
    OutputError
        Where a file exists that is not to be replaced, before anything is written; or the place
        cannot be written.
    """
    if not request.images:
        raise OutputError("No image is chosen; open one, or choose all images of the project.")
    if request.format == "label-set":
        _spare(store, [request.path])
        return (yield from _label_set(store, request))
    paths = _paths(store, request)
    _spare(store, list(paths.values()))
    there = [path for path in paths.values() if path.exists()]
    if there and not request.replace:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise OutputError(
            f"{there[0]}{more} exists already. Choose another name, or tick 'Replace files'. "
            "Nothing was written."
        )
    nuclei, remarks = 0, list[str]()
    for done, (image, path) in enumerate(paths.items()):
        yield Progress(done, len(paths), found=nuclei, message=f"Writing {path.name}…")
        points = project_points(
            store, image, which=request.which, ids=request.ids, reading=request.reading
        )
        _folder(path.parent)
        write_points(path, points, format=request.format)
        nuclei += len(points.nuclei)
        remarks += points.remarks
    return Written(tuple(paths.values()), nuclei, tuple(remarks))


def _spare(store: ProjectStore, paths: list[Path]) -> None:
    """Refuse to write over a project or one of the images of this one."""
    images: dict[object, str] = {}
    for image in store.images:
        if image.absolute is not None:
            images |= dict.fromkeys(_identities(Path(image.absolute)), image.name)
    for path in paths:
        if path.suffix.lower() == SUFFIX:
            raise OutputError(
                f"{path} is the name of a project. Choose another; nothing was written."
            )
        name = next((images[each] for each in _identities(path) if each in images), None)
        if name is not None:
            raise OutputError(
                f"{path} is the image {name!r} itself. Choose another name; nothing was written."
            )


def _identities(path: Path) -> list[object]:
    """What tells that two paths are one file: how it is spelt, and the file itself."""
    found: list[object] = [os.path.normcase(path.absolute())]
    with suppress(OSError):
        there = path.stat()
        found.append((there.st_dev, there.st_ino))
    return found


def _label_set(store: ProjectStore, request: ExportRequest) -> Generator[Progress, None, Written]:
    yield Progress(0, 1, message=f"Writing {request.path.name}…")
    labels = project_labels(
        store,
        request.sources,
        ids=request.ids,
        crops=request.crops,
        provenance=request.provenance,
    )
    _folder(request.path.parent)
    write_label_set(with_stain(labels), request.path)
    open_ = sum(len(store.proposals(image)) for image in request.images)
    remarks = (
        (f"Open proposals, which nobody accepted, were left out: {open_:,}.",) if open_ else ()
    )
    return Written((request.path,), labels.nuclei_count, remarks)


def _paths(store: ProjectStore, request: ExportRequest) -> dict[int, Path]:
    """Image to file; images of one name get numbers."""
    if request.one_file:
        if len(request.images) > 1:
            raise OutputError(f"{len(request.images)} images go into a folder, not one file.")
        return {request.images[0]: request.path}
    paths: dict[int, Path] = {}
    for image in request.images:
        name = file_name(store.image(image), request.format)
        suffix = FORMATS[request.format].suffixes[0]
        number = 2
        while request.path / name in paths.values():
            stem = file_name(store.image(image), request.format).removesuffix(suffix)
            name, number = f"{stem} ({number}){suffix}", number + 1
        paths[image] = request.path / name
    return paths


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {path} cannot be made: {error.strerror or error}. Choose another one."
        ) from error
