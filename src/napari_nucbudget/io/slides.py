"""Whole slides of any scanner as an `ImageSource`, and what tells one slide from another."""

from __future__ import annotations

import hashlib
from pathlib import Path

from napari_nucbudget.errors import ImageError
from napari_nucbudget.io.ome_zarr import ZarrSource, is_zarr
from napari_nucbudget.io.tiff import TiffSource
from napari_nucbudget.io.vendor_slides import VENDOR_SUFFIXES, OpenSlideSource, is_dicom

__all__ = ["SLIDE_SUFFIXES", "SlideSource", "open_slide", "slide_fingerprint"]

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".btf", ".tf8", ".zarr", *VENDOR_SUFFIXES)
"""Names that only slides have; plain .tif and .tiff may hold anything."""
SAMPLE_BYTES = 1 << 20

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
    slide they belong. Of a folder, the metadata files count.

    Raises
    ------
    ImageError
        Where it cannot be read.
    """
    path = Path(path)
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            for file in sorted(f for f in path.rglob("*") if f.name in ("zarr.json", ".zarray")):
                digest.update(str(file.relative_to(path).as_posix()).encode() + file.read_bytes())
        else:
            size = path.stat().st_size
            digest.update(str(size).encode())
            with path.open("rb") as stream:
                digest.update(stream.read(SAMPLE_BYTES))
                stream.seek(max(0, size - SAMPLE_BYTES))
                digest.update(stream.read(SAMPLE_BYTES))
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()
