"""TIFF images on disk, read piece by piece: plain, tiled, pyramidal, OME or Aperio."""

from __future__ import annotations

import math
import re
import weakref
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError, NucbudgetError, PixelSizeError
from napari_nucbudget.types.image import MPP_RANGE, ArraySource, Region

__all__ = ["TiffSource", "tiff_pixel_size"]

MAX_SEGMENT_BYTES = 1 << 30
"""Largest strip or tile once decoded."""
MAX_RATIO = 100_000
"""Claimed bytes per byte of file beyond which a header is not believed: a blank image
compresses by 1,000 with JPEG or deflate, and by some 30,000 with zstd."""
UNCOMPRESSED = 1
COLOUR_SPACES = {5: "CMYK", 8: "CIELab", 9: "CIELab", 10: "CIELab"}
"""Photometric interpretations with three or four channels that are not red, green and blue."""
YCBCR = 6
PLAIN_CODECS = (UNCOMPRESSED, 5, 8, 32773, 32946, 50000)
"""Compressions that hand YCbCr values through; JPEG and its kin convert them to RGB."""
TO_UM = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}


class TiffSource(ArraySource):
    """`ImageSource` over a TIFF on disk; only what `read` asks for is decoded.

    Several threads may read at once. The file is freed by `close`, or when the
    source is no longer used.

    Raises
    ------
    ImageError
        Where the file is damaged, truncated or forged, holds a stack, or is not RGB.
    PixelSizeError
        Where the pixel size makes no sense and `mpp` is not given.
    """

    def __init__(self, path: Path, *, mpp: float | None = None, name: str | None = None) -> None:
        import tifffile

        name = name or path.name
        try:
            self._tif = tifffile.TiffFile(path)
        except Exception as error:  # struct, value and index errors too, for damaged headers
            raise ImageError(f"{path} is not a TIFF that can be read: {error}.") from error
        try:
            levels, axes = self._open(path)
            stated = mpp if mpp is not None else tiff_pixel_size(self._tif)
            super().__init__(levels, mpp=stated, name=name, channel_first=axes[0] in "SC")
        except NucbudgetError:
            self._tif.close()
            raise
        except MemoryError as error:
            self._tif.close()
            raise ImageError(f"{path} claims more than fits into memory.") from error
        except Exception as error:  # tifffile raises many kinds for damaged files
            self._tif.close()
            raise ImageError(
                f"{path} is damaged or truncated: its header cannot be read "
                f"({error or type(error).__name__})."
            ) from error
        self.path = path
        self._closing = weakref.finalize(self, self._tif.close)

    def _open(self, path: Path) -> tuple[list[Any], str]:
        """Lazily read arrays, the largest first, and the names of their axes."""
        import zarr

        if not self._tif.series:
            raise ImageError(f"{path} is damaged or truncated: it holds no image.")
        series = self._tif.series[0]
        _check_layout(path, series)
        _check_size(path, series)
        levels = [
            zarr.open_array(series.aszarr(level=i), mode="r") for i in range(len(series.levels))
        ]
        first = levels[0]
        same = [a for a in levels if a.ndim == first.ndim and max(a.shape) <= max(first.shape)]
        return same, series.axes

    def read(self, region: Region, level: int = 0) -> NDArray[np.uint8]:
        try:
            return super().read(region, level)
        except (NucbudgetError, MemoryError):
            raise
        except Exception as error:  # codecs raise many kinds for damaged tiles
            raise ImageError(
                f"{self.path} is damaged: the pixels at y={region.y}, x={region.x} of level "
                f"{level} do not decode ({error})."
            ) from error

    def close(self) -> None:
        self._closing()


def _check_layout(path: Path, series: Any) -> None:
    """Refuse what is not one colour image."""
    axes, page = series.axes, series.keyframe
    planes = [n for axis, n in zip(axes, series.shape, strict=True) if axis not in "YXSC"]
    if math.prod(planes) > 1:
        raise ImageError(
            f"{path} holds {math.prod(planes)} images (axes {axes}, {series.shape}): nuclei are "
            "detected in one colour image at a time. Save the wanted one alone, as RGB."
        )
    if len(axes) != 3:
        raise ImageError(
            f"{path} has one channel (axes {axes}, {series.shape}): nuclei are detected on "
            "colour (H&E) images. Open the colour original."
        )
    space = COLOUR_SPACES.get(int(page.photometric))
    if int(page.photometric) == YCBCR and int(page.compression) in PLAIN_CODECS:
        space = "YCbCr"
    if space:
        raise ImageError(
            f"{path} stores its colours as {space}; red, green and blue are needed. Save it as RGB."
        )


def _check_size(path: Path, series: Any) -> None:
    """Refuse a header that the file's bytes cannot back, before anything is allocated."""
    size = path.stat().st_size
    page = series.keyframe
    shape = " x ".join(map(str, series.shape))
    claimed = math.prod(series.shape) * series.dtype.itemsize
    plain = int(page.compression) == UNCOMPRESSED
    if claimed > size * (1 if plain else MAX_RATIO):
        raise ImageError(
            f"{path} claims {shape} values ({claimed / 1e9:.3g} GB) in a file of {size:,} bytes: "
            "its header is damaged or forged, or the file is truncated. Copy it again."
        )
    decoded = math.prod(page.chunks) * series.dtype.itemsize
    if decoded > MAX_SEGMENT_BYTES and not plain:
        raise ImageError(
            f"{path} stores {shape} values in pieces of {decoded / 1e9:.1f} GB, which cannot be "
            "read in parts. Save it as a tiled TIFF."
        )
    listed, expected = len(page.dataoffsets), math.prod(page.chunked)
    if not plain and 2 * listed < expected:
        raise ImageError(
            f"{path} claims {shape} values in {expected:,} tiles or strips, but lists {listed:,}: "
            "its header is damaged or forged."
        )
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
    beyond = sum(end > size for end in ends)
    if beyond:
        raise ImageError(
            f"{path} is truncated: {beyond} of {len(ends)} tiles or strips lie beyond its end at "
            f"{size:,} bytes. Copy the file again."
        )


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
    if pair is None and (found := re.search(r"\bMPP\s*=\s*(\d*\.?\d+)", page.description or "")):
        pair = (float(found[1]), float(found[1]))
    if pair is None:
        pair = _tag_pixel_size(page, tif.imagej_metadata or {})
    if pair is None:
        return None
    y, x = pair
    if max(y, x) > 1.05 * min(y, x):
        raise PixelSizeError(
            f"{tif.filename} has pixels of {y:g} x {x:g} µm (height x width); square ones are "
            "needed. Resample the image, or give its pixel size if the file is wrong (--mpp)."
        )
    return math.sqrt(y * x)


def _ome_pixel_size(xml: str) -> tuple[float, float] | None:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if element.tag.endswith("}Pixels") and element.get("PhysicalSizeX"):
            sizes = []
            for axis in "YX":
                value = element.get(f"PhysicalSize{axis}") or element.get("PhysicalSizeX") or ""
                unit = _in_um(element.get(f"PhysicalSize{axis}Unit", "µm"))
                try:
                    sizes.append(float(value) * (unit or 0))
                except ValueError:
                    return None
            return (sizes[0], sizes[1]) if min(sizes) > 0 else None
    return None


def _in_um(unit: str) -> float | None:
    """µm in a unit as OME and ImageJ spell it; a Greek mu and ``\\u00B5`` are µ too."""
    spelt = unit.strip().lower().replace("\\u00b5", "µ").replace("\N{GREEK SMALL LETTER MU}", "µ")
    return TO_UM.get(spelt)


def _tag_pixel_size(page: Any, imagej: dict[str, Any]) -> tuple[float, float] | None:
    tags = page.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    resolution = [tags[n].value for n in ("YResolution", "XResolution")]
    if any(not isinstance(pair, tuple) or 0 in pair for pair in resolution):
        return None
    unit = {2: 25_400.0, 3: 10_000.0}.get(int(getattr(page, "resolutionunit", 1) or 1))
    unit = _in_um(str(imagej.get("unit", ""))) or unit
    if unit is None:
        return None
    y, x = (unit * denominator / numerator for numerator, denominator in resolution)
    low, high = MPP_RANGE
    return (y, x) if low <= min(y, x) and max(y, x) <= high else None
