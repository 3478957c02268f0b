"""Opening image files: PNG, JPEG and TIFF of any size, with their pixel size.

PNG and JPEG are decoded whole, so their size is limited; TIFF is read tile by
tile. Colour profiles are ignored: the models were trained without them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, PixelSizeError, RegionError
from napari_nucbudget.types.image import (
    MPP_RANGE,
    ArraySource,
    ImageSource,
    Region,
)

__all__ = ["TIFF_SUFFIXES", "TiffSource", "open_image", "tiff_pixel_size"]

TIFF_SUFFIXES = (".tif", ".tiff", ".svs", ".ndpi", ".scn", ".btf", ".tf8")
MAX_WHOLE_PIXELS = 400_000_000
"""Largest PNG or JPEG, which cannot be read in parts (1.2 GB decoded)."""
MAX_SEGMENT_BYTES = 1 << 30
"""Largest strip or tile of a TIFF once decoded."""
MAX_RATIO = 5_000
"""Claimed bytes per byte of file beyond which a TIFF's header is not believed."""


def open_image(
    path: Path | str, *, mpp: float | None = None, name: str | None = None
) -> ImageSource:
    """Image file as an `ImageSource`; TIFF stays on disk until it is read.

    Parameters
    ----------
    path : path
    mpp : float, optional
        µm per pixel; overrides what the file says.
    name : str, optional
        Name for messages and tables, default the file's.

    Raises
    ------
    ImageError
        Where the file is absent, empty, truncated, of another kind, not RGB,
        or claims a size that its bytes cannot hold.
    PixelSizeError
        Where `mpp` or the file's own pixel size makes no sense.
    """
    path = Path(path)
    name = name or path.name
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror or error}.") from error
    if path.is_dir():
        raise ImageError(f"{path} is a folder; give an image file.")
    if size == 0:
        raise ImageError(f"{path} is empty (0 bytes): copy or export the image again.")
    if path.suffix.lower() in TIFF_SUFFIXES:
        return TiffSource(path, mpp=mpp, name=name)
    return _open_whole(path, mpp=mpp, name=name)


def _open_whole(path: Path, *, mpp: float | None, name: str) -> ArraySource:
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow's own limit on pixels is replaced by ours, checked before decoding.
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
        with picture:
            width, height = picture.size
            if width * height > MAX_WHOLE_PIXELS:
                raise ImageError(
                    f"{path} claims {height} x {width} pixels; a {picture.format} cannot be read "
                    f"in parts, so at most {MAX_WHOLE_PIXELS / 1e6:.0f} million pixels are "
                    "accepted. Save it as a tiled TIFF."
                )
            if picture.mode == "P":
                pixels = np.asarray(picture.convert("RGB"))
            else:
                pixels = np.asarray(picture)
    except UnidentifiedImageError:
        raise ImageError(
            f"{path} is not an image that can be read here: PNG, JPEG and TIFF are."
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise ImageError(f"{path} is damaged or truncated: {error}.") from error
    if pixels.ndim == 2:
        raise ImageError(
            f"{path} has one channel: nuclei are detected on colour (H&E) images. "
            "Open the colour original."
        )
    return ArraySource(pixels, mpp=mpp, name=name, channel_first=False)


def tiff_pixel_size(tif: Any) -> float | None:
    """µm per pixel that a TIFF states: OME, Aperio, ImageJ, or resolution tags; else None.

    Resolution tags count only where they give a plausible pixel size: most
    programs write 72 dpi, which means nothing.

    Parameters
    ----------
    tif : tifffile.TiffFile

    Raises
    ------
    PixelSizeError
        Where rows and columns differ by more than 5 %.
    """
    page = tif.pages[0]
    pair: tuple[float, float] | None = None
    if tif.ome_metadata:
        pair = _ome_pixel_size(tif.ome_metadata)
    description = page.description or ""
    if pair is None and (found := re.search(r"\bMPP\s*=\s*([0-9.]+)", description)):
        pair = (float(found[1]), float(found[1]))
    if pair is None:
        pair = _tag_pixel_size(page, tif.imagej_metadata or {})
    if pair is None:
        return None
    y, x = pair
    if max(y, x) > 1.05 * min(y, x):
        raise PixelSizeError(
            f"{tif.filename} has pixels of {y:g} x {x:g} µm; square ones are needed. "
            "Resample the image."
        )
    return math.sqrt(y * x)


def _ome_pixel_size(xml: str) -> tuple[float, float] | None:
    to_um = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if element.tag.endswith("}Pixels") and element.get("PhysicalSizeX"):
            sizes = []
            for axis in "YX":
                value = element.get(f"PhysicalSize{axis}") or element.get("PhysicalSizeX") or ""
                unit = to_um.get(element.get(f"PhysicalSize{axis}Unit", "µm"))
                if unit is None:
                    return None
                sizes.append(float(value) * unit)
            return sizes[0], sizes[1]
    return None


def _tag_pixel_size(page: Any, imagej: dict[str, Any]) -> tuple[float, float] | None:
    tags = page.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    resolution = [tags[n].value for n in ("YResolution", "XResolution")]
    if any(numerator == 0 or denominator == 0 for numerator, denominator in resolution):
        return None
    unit = {2: 25_400.0, 3: 10_000.0}.get(int(getattr(page, "resolutionunit", 1) or 1))
    if str(imagej.get("unit", "")).strip("\\").lower() in ("micron", "um", "µm", "u00b5m"):
        unit = 1.0
    if unit is None:
        return None
    y, x = (unit * denominator / numerator for numerator, denominator in resolution)
    low, high = MPP_RANGE
    return (y, x) if low <= min(y, x) and max(y, x) <= high else None


class TiffSource(ArraySource):
    """`ImageSource` over a TIFF on disk: plain, tiled, pyramidal, OME or Aperio.

    Only what `read` asks for is decoded.
    """

    def __init__(self, path: Path, *, mpp: float | None = None, name: str | None = None) -> None:
        import tifffile
        import zarr

        try:
            self._tif = tifffile.TiffFile(path)
            series = self._tif.series[0]
            _check_tiff(path, series)
            stated = mpp if mpp is not None else tiff_pixel_size(self._tif)
            axes = series.axes.replace("I", "").replace("Q", "")
            levels = [zarr.open(level.aszarr(), mode="r") for level in series.levels]
        except (ImageError, PixelSizeError):
            raise
        except MemoryError as error:
            raise ImageError(f"{path} claims more than fits into memory.") from error
        except Exception as error:  # tifffile raises many kinds for damaged files
            raise ImageError(f"{path} is not a TIFF that can be read: {error}.") from error
        if not all(isinstance(level, zarr.Array) for level in levels):
            raise ImageError(f"{path} holds several images in one level, which is not supported.")
        self.path = path
        super().__init__(
            levels, mpp=stated, name=name or path.name, channel_first=axes.startswith(("S", "C"))
        )
        self.levels = tuple(
            level for level in self.levels if level.downsample >= 1 or level is self.levels[0]
        )

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        shape = self.levels[level].shape
        if region.clipped(shape) != region:
            raise RegionError(f"{region} reaches outside level {level} of {self.name}, {shape}.")
        try:
            return super().read(region, level)
        except ImageError:
            raise
        except Exception as error:  # codecs raise many kinds for damaged tiles
            raise ImageError(
                f"{self.path} is damaged: the pixels at y={region.y}, x={region.x} of level "
                f"{level} do not decode ({error})."
            ) from error

    def close(self) -> None:
        self._tif.close()


def _check_tiff(path: Path, series: Any) -> None:
    """Refuse a header that the file's bytes cannot back, before anything is allocated."""
    size = path.stat().st_size
    page = series.keyframe
    claimed = math.prod(series.shape) * series.dtype.itemsize
    shape = " x ".join(map(str, series.shape))
    if claimed > MAX_RATIO * size:
        raise ImageError(
            f"{path} claims {shape} values ({claimed / 1e9:.1f} GB) in a file of {size:,} bytes: "
            "its header is damaged or forged."
        )
    segment = (page.tile or (page.rowsperstrip or page.imagelength, page.imagewidth))[-2:]
    decoded = math.prod(segment) * page.samplesperpixel * series.dtype.itemsize
    if decoded > MAX_SEGMENT_BYTES:
        raise ImageError(
            f"{path} stores {shape} values in pieces of {decoded / 1e9:.1f} GB, which cannot be "
            "read in parts. Save it as a tiled TIFF."
        )
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
    beyond = sum(end > size for end in ends)
    if beyond:
        raise ImageError(
            f"{path} is truncated: {beyond} of {len(ends)} tiles or strips lie beyond its end at "
            f"{size:,} bytes. Copy the file again."
        )
