"""Whole slides of any scanner as an `ImageSource`, and what tells one slide from another."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from napari_nucbudget.errors import ImageError
from napari_nucbudget.io.ome_zarr import ZarrSource, is_zarr
from napari_nucbudget.io.tiff import TiffSource
from napari_nucbudget.io.vendor_slides import VENDOR_SUFFIXES, OpenSlideSource, is_dicom

__all__ = ["SLIDE_SUFFIXES", "SlideSource", "open_slide", "slide_fingerprint"]

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".btf", ".tf8", ".zarr", *VENDOR_SUFFIXES)
"""Names that only slides have; plain .tif and .tiff may hold anything."""
SAMPLE_BYTES = 1 << 20
SAMPLE_SIDE = 8
"""Of the chunks of an array so many count along each axis."""

SlideSource = TiffSource | ZarrSource | OpenSlideSource
"""All have `read`, `levels`, `mpp`, and `arrays`: the levels as lazy arrays."""


def open_slide(
    path: Path | str, *, mpp: float | None = None, name: str | None = None
) -> SlideSource | None:
    """Slide as an `ImageSource` of lazily read levels; None where the file is no slide format.

    TIFF and its dialects (OME, SVS with JPEG or JPEG 2000, NDPI, SCN, Philips)
    are read by tifffile and imagecodecs, OME-Zarr by zarr, the rest by
    OpenSlide. What a file is follows from its first bytes, and from its name
    only for formats of several files. Threads may read at once. Colour
    profiles are ignored.

    Parameters
    ----------
    path : path
        File, or folder of an OME-Zarr.
    mpp : float, optional
        µm per pixel; overrides what the slide says.
    name : str, optional
        Name for messages and tables, default the file's.

    Raises
    ------
    ImageError
        Where the slide is absent, empty, damaged, truncated, forged or not RGB.
    PixelSizeError
        Where `mpp` or the slide's own pixel size makes no sense, or its pixels
        are not square.

    Notes
    -----
    `read` raises `TileError` for a tile that does not decode, which names the
    tile, and `SlideGoneError` for a file that disappears or shrinks.
    """
    path = Path(path)
    try:
        if path.is_dir():
            if not is_zarr(path):
                raise ImageError(f"{path} is a folder; give an image file, or an OME-Zarr folder.")
            return ZarrSource(path, mpp=mpp, name=name)
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(4)
        dicom = is_dicom(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be opened: {reason}.") from error
    if size == 0:
        raise ImageError(f"{path} is empty (0 bytes): copy or export the image again.")
    if path.suffix.lower() in VENDOR_SUFFIXES or dicom:
        return OpenSlideSource(path, mpp=mpp, name=name)
    if magic in TIFF_MAGIC:
        return TiffSource(path, mpp=mpp, name=name)
    return None


def slide_fingerprint(path: Path | str) -> str:
    """Hexadecimal digest of a slide's size, its first and its last mebibyte.

    Quick, and different for different scans; results say with it to which
    slide they belong. Of a zarr folder it is two digests with a hyphen between
    them: the first, all that version 0.1.0 had, is of what describes its
    arrays; the second is of its attributes, and of chunks all over its largest
    and its smallest array, a mebibyte or two of each.

    Raises
    ------
    ImageError
        Where it cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _fingerprint_of_folder(path)
        digest = hashlib.sha256()
        _add_sample(digest, path, SAMPLE_BYTES)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()


def _add_sample(digest: Any, path: Path, count: int) -> None:
    """A file's size, and as many of its first and of its last bytes."""
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(count))
        stream.seek(max(0, size - count))
        digest.update(stream.read(count))


def _fingerprint_of_folder(path: Path) -> str:
    described, pixels = hashlib.sha256(), hashlib.sha256()
    try:
        nodes = sorted(_nodes(path))
        for digest, names in ((described, ("zarr.json", ".zarray")), (pixels, (".zattrs",))):
            for file in sorted(
                f for node in nodes for name in names if (f := node / name).is_file()
            ):
                digest.update(file.relative_to(path).as_posix().encode() + file.read_bytes())
        arrays = [_grid(node) for node in nodes if _is_array(node)]
    except OSError:
        raise
    except Exception as error:  # zarr and json raise many kinds for damaged metadata
        raise ImageError(
            f"{path} is damaged: its zarr metadata cannot be read ({error}). Copy the folder again."
        ) from error
    arrays.sort(key=lambda array: math.prod(array[1]))
    for node, counts, encode in arrays[:1] + arrays[1:][-1:]:
        places = list(product(*(_spread(count) for count in counts)))
        for place in places:
            key = encode(place)
            pixels.update(key.encode())
            with suppress(FileNotFoundError):  # a chunk that is not stored holds the fill value
                _add_sample(pixels, node / key, SAMPLE_BYTES // len(places))
    return f"{described.hexdigest()}-{pixels.hexdigest()}"


def _nodes(folder: Path) -> Iterator[Path]:
    """A folder and those below, but for chunks, of which there may be millions."""
    yield folder
    if not _is_array(folder):
        for below in folder.iterdir():
            if below.is_dir() and not below.is_symlink():
                yield from _nodes(below)


def _is_array(folder: Path) -> bool:
    described = folder / "zarr.json"
    if described.is_file():
        return bool(json.loads(described.read_bytes()).get("node_type") == "array")
    return (folder / ".zarray").is_file()


def _grid(folder: Path) -> tuple[Path, list[int], Any]:
    """An array's folder, how many files of pixels it has along each axis, and what names one."""
    import zarr

    array = zarr.open_array(str(folder), mode="r")
    sizes = array.shards or array.chunks
    counts = [-(-n // size) for n, size in zip(array.shape, sizes, strict=True)]
    return folder, counts, array.metadata.encode_chunk_key


def _spread(count: int) -> list[int]:
    """All numbers below `count`, or some in even steps."""
    return sorted({(2 * n + 1) * count // (2 * SAMPLE_SIDE) for n in range(SAMPLE_SIDE)})
