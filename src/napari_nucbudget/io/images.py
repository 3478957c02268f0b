"""Opening image files: PNG, JPEG, TIFF and slides of any size, with their pixel size.

PNG and JPEG are decoded whole, so their size is limited; TIFF and slides are
read tile by tile. What a file is follows from its first bytes, not from its name. Colour
profiles and EXIF orientation are ignored: the models were trained without the
former, and viewers that show the points ignore the latter.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ImageError
from napari_nucbudget.io.slides import open_slide
from napari_nucbudget.io.tiff import TiffSource, tiff_pixel_size
from napari_nucbudget.types.image import ArraySource, ImageSource

__all__ = ["TIFF_SUFFIXES", "TiffSource", "open_image", "tiff_pixel_size"]

TIFF_SUFFIXES = (".tif", ".tiff", ".svs", ".ndpi", ".scn", ".btf", ".tf8")
MAX_WHOLE_PIXELS = 400_000_000
"""Largest PNG or JPEG, which cannot be read in parts (1.2 GB decoded)."""
MAX_PIXELS_PER_BYTE = 10_000
"""Claimed pixels per byte of file beyond which a header is not believed: deflate shrinks
by at most 1,032 to 1, and a palette may have eight pixels a byte."""
_PILLOW_LIMIT = threading.Lock()


def open_image(
    path: Path | str, *, mpp: float | None = None, name: str | None = None
) -> ImageSource:
    """Image file as an `ImageSource`; TIFF and slides stay on disk until they are read.

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
    slide = open_slide(path, mpp=mpp, name=name)
    if slide is not None:
        return slide
    pixels = _read_whole(path, path.stat().st_size)
    return ArraySource(pixels, mpp=mpp, name=name or path.name, channel_first=False)


def _read_whole(path: Path, size: int) -> NDArray[np.uint8]:
    """(H, W, 3 or 4) pixels of a PNG or JPEG.

    Cameras put previews behind the image of a JPEG (MPO); these are passed over.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow's own limit on pixels is replaced by ours, checked before decoding.
        with _PILLOW_LIMIT:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                picture = Image.open(path)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        with picture:
            width, height = picture.size
            if width * height > min(MAX_WHOLE_PIXELS, MAX_PIXELS_PER_BYTE * size):
                raise ImageError(
                    f"{path} claims {height} x {width} pixels in {size:,} bytes. Either its header "
                    f"is damaged, or it is too large: a {picture.format} cannot be read in parts, "
                    f"so at most {MAX_WHOLE_PIXELS / 1e6:.0f} million pixels are accepted. "
                    "Save it as a tiled TIFF."
                )
            frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
            if frames > 1:
                raise ImageError(
                    f"{path} holds {frames} images, and one is needed; save it as a file of its "
                    "own, PNG or TIFF."
                )
            if picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I"):
                raise ImageError(
                    f"{path} has one channel: nuclei are detected on colour (H&E) images. "
                    "Open the colour original."
                )
            if picture.mode not in ("RGB", "RGBA", "RGBX", "P", "PA"):
                raise ImageError(
                    f"{path} has the colour space {picture.mode}, not RGB; save it as RGB."
                )
            if picture.mode not in ("RGB", "RGBA"):
                # By way of RGBA, a palette's transparency is dropped, not blended.
                palette = picture.mode in ("P", "PA")
                return np.asarray(picture.convert("RGBA" if palette else "RGB"))
            return np.asarray(picture)
    except UnidentifiedImageError:
        raise ImageError(
            f"{path} is not an image that can be read here: PNG, JPEG, TIFF and slides are."
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise ImageError(f"{path} is damaged or truncated: {error}.") from error
