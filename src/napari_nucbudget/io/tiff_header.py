"""What the header of a TIFF says: whether to believe it, and how large a pixel is."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from napari_nucbudget.errors import ImageError, PixelSizeError
from napari_nucbudget.types.image import MPP_RANGE

__all__ = [
    "check_layout",
    "check_pieces",
    "check_size",
    "choose_series",
    "in_um",
    "pyramid_of",
    "square_mpp",
    "tiff_pixel_size",
]

MAX_SEGMENT_BYTES = 1 << 30
"""Largest strip or tile once decoded."""
MAX_RATIO = 50_000
"""Claimed bytes per byte of file beyond which a header is not believed: a blank image
compresses by some 30,000 with zstd."""
MAX_RATIOS = {5: 5_000, 6: 2_000, 7: 2_000, 8: 1_100, 32946: 1_100}
"""The same by compression: LZW, JPEG and deflate cannot do more on a blank image."""
UNCOMPRESSED = 1
COLOUR_SPACES = {5: "CMYK", 8: "CIELab", 9: "CIELab", 10: "CIELab"}
"""Photometric interpretations with three or four channels that are not red, green and blue."""
YCBCR = 6
PLAIN_CODECS = (UNCOMPRESSED, 5, 8, 32773, 32946, 50000)
"""Compressions that hand YCbCr values through; JPEG and its kin convert them to RGB."""
_QUOTED = r'(?:&quot;|")([\d.e-]+)(?:&quot;|")'
APERIO_MPP = r"\bMPP\s*=\s*(\d*[.,]?\d+(?:[eE][-+]?\d+)?)"
PHILIPS_SPACING = rf"DICOM_PIXEL_SPACING[^>]*>{_QUOTED}\s*{_QUOTED}"
"""Millimetres per row and per column in a Philips description; the first is the slide's."""
TO_UM = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}

_log = logging.getLogger(__name__)


def check_layout(path: Path, series: Any) -> None:
    """Refuse what is not one colour image."""
    axes, page = series.axes, series.keyframe
    planes = [n for axis, n in zip(axes, series.shape, strict=True) if axis not in "YXSC"]
    if math.prod(planes) > 1:
        raise ImageError(
            f"{path} holds {math.prod(planes)} images (axes {axes}, {series.shape}): nuclei are "
            "detected in one colour image at a time. Save the wanted one alone, as RGB."
        )
    if len(axes) > 3 and "S" in axes:
        raise ImageError(
            f"{path} holds its colours under further axes ({axes}, {series.shape}): save it as a "
            "plain RGB image of height x width x 3."
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


def choose_series(tif: Any) -> Any:
    """The largest colour image of a file, which is the slide beside its label and overview."""
    colour = [s for s in tif.series if s.axes in ("YXS", "SYX") and s.dtype is not None]
    if not colour:
        return tif.series[0]
    largest = max(colour, key=lambda s: math.prod(s.shape))
    same = [s for s in colour if s is not largest and s.shape == largest.shape]
    if same and tif.is_scn:
        _log.warning(
            "%s holds %d scanned regions of one size: the first is read.",
            tif.filename,
            len(same) + 1,
        )
    return largest


def pyramid_of(tif: Any, series: Any) -> list[Any]:
    """The levels of an image, each smaller than the one before and of the same proportions.

    What a damaged file offers as a level and is none (as large as its parent,
    of other proportions, of another type) is left out: the larger levels hold
    all that is needed.
    """
    offered = list(series.levels)
    if len(offered) == 1:  # each level an image of its own, as some writers put it
        offered += sorted(
            (s for s in tif.series if s is not series and s.keyframe.is_tiled),
            key=lambda s: -math.prod(s.shape),
        )
    levels = [offered[0]]
    for level in offered[1:]:
        if level.axes != series.axes or level.dtype != series.dtype:
            continue
        ratios = [
            whole / part
            for axis, whole, part in zip(series.axes, series.shape, level.shape, strict=True)
            if axis in "YX"
        ]
        slack = 1.02 + 2 / min(n for a, n in zip(level.axes, level.shape, strict=True) if a in "YX")
        smaller = math.prod(level.shape) < math.prod(levels[-1].shape)
        if smaller and min(ratios) > 1.2 and max(ratios) <= slack * min(ratios):
            levels.append(level)
    return levels


def check_size(path: Path, series: Any) -> None:
    """Refuse a header that the file's bytes cannot back, before anything is allocated."""
    size = path.stat().st_size
    page = series.keyframe
    shape = " x ".join(map(str, series.shape))
    claimed = math.prod(series.shape) * series.dtype.itemsize
    if not claimed:
        raise ImageError(f"{path} is empty: it claims {shape} values. Copy or export it again.")
    compression = int(page.compression)
    plain = compression == UNCOMPRESSED
    _check_piece(path, series)
    if not plain:  # tiles that the file leaves out cost nothing
        stored = sum(count > 0 for count in page.databytecounts)
        claimed = min(claimed, stored * math.prod(page.chunks) * series.dtype.itemsize)
        if not stored:
            raise ImageError(f"{path} holds no pixels: every tile is left out. Copy it again.")
    if claimed > size * (1 if plain else MAX_RATIOS.get(compression, MAX_RATIO)):
        claimed = math.prod(series.shape) * series.dtype.itemsize
        raise ImageError(
            f"{path} claims {shape} values ({claimed / 1e9:.3g} GB) in a file of {size:,} bytes: "
            "its header is damaged or forged, or the file is truncated. Copy it again."
        )
    check_pieces(path, series)


def check_pieces(path: Path, series: Any) -> None:
    """Refuse an image or level whose strips or tiles are too large, too few, or not in the file."""
    size = path.stat().st_size
    page = series.keyframe
    shape = " x ".join(map(str, series.shape))
    plain = int(page.compression) == UNCOMPRESSED
    _check_piece(path, series)
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


def _check_piece(path: Path, series: Any) -> None:
    page = series.keyframe
    decoded = math.prod(page.chunks) * series.dtype.itemsize
    if decoded > MAX_SEGMENT_BYTES and (page.is_tiled or int(page.compression) != UNCOMPRESSED):
        raise ImageError(
            f"{path} stores {' x '.join(map(str, series.shape))} values in pieces of "
            f"{decoded / 1e9:.1f} GB, which cannot be read in parts. Save it as a tiled TIFF."
        )


def tiff_pixel_size(tif: Any, page: Any = None) -> float | None:
    """µm per pixel that a TIFF states: OME, Aperio, Philips, ImageJ, or resolution tags; else None.

    Resolution tags count only where they give a plausible pixel size: most
    programs write 72 dpi, which means nothing.

    Parameters
    ----------
    tif : tifffile.TiffFile
    page : tifffile.TiffPage, optional
        The page that is read, default the first.

    Raises
    ------
    PixelSizeError
        Where rows and columns differ by more than 5 %.
    """
    page = tif.pages[0] if page is None else page
    pair: tuple[float, float] | None = None
    if tif.ome_metadata:
        pair = _ome_pixel_size(tif.ome_metadata, (page.imagelength, page.imagewidth))
    text = page.description or ""
    if pair is None and (found := re.search(APERIO_MPP, text)):
        stated = float(found[1].replace(",", "."))
        pair = (stated, stated)
    if pair is None and (found := re.search(PHILIPS_SPACING, text)):
        pair = (float(found[1]) * 1e3, float(found[2]) * 1e3)
    if pair is None:
        pair = _tag_pixel_size(page, tif.imagej_metadata or {})
    return None if pair is None else square_mpp(*pair, of=str(tif.filename))


def square_mpp(y: float, x: float, *, of: str) -> float:
    """One pixel size of two.

    Raises
    ------
    PixelSizeError
        Where they differ by more than 5 %.
    """
    if max(y, x) > 1.05 * min(y, x):
        raise PixelSizeError(
            f"{of} has pixels of {y:g} x {x:g} µm (height x width); square ones are "
            "needed. Resample the image, or give its pixel size if the file is wrong (--mpp)."
        )
    return math.sqrt(y * x)


def _ome_pixel_size(xml: str, shape: tuple[int, int]) -> tuple[float, float] | None:
    """Of the image of that shape where the file describes several, else of the first."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    pixels = [e for e in root.iter() if e.tag.endswith("}Pixels") and e.get("PhysicalSizeX")]
    wanted = (str(shape[0]), str(shape[1]))
    pixels.sort(key=lambda e: (e.get("SizeY"), e.get("SizeX")) != wanted)
    if not pixels:
        return None
    sizes = []
    for axis in "YX":
        value = pixels[0].get(f"PhysicalSize{axis}") or pixels[0].get("PhysicalSizeX") or ""
        # A size that is missing is the other one, unit and all.
        own = axis if pixels[0].get(f"PhysicalSize{axis}") else "X"
        unit = in_um(pixels[0].get(f"PhysicalSize{own}Unit", "µm"))
        try:
            sizes.append(float(value) * (unit or 0))
        except ValueError:
            return None
    return (sizes[0], sizes[1]) if min(sizes) > 0 else None


def in_um(unit: str) -> float | None:
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
    unit = in_um(str(imagej.get("unit", ""))) or unit
    if unit is None:
        return None
    y, x = (unit * denominator / numerator for numerator, denominator in resolution)
    low, high = MPP_RANGE
    return (y, x) if low <= min(y, x) and max(y, x) <= high else None
