"""Masks of tissue as pictures: drawn ones to read, found ones to keep and to edit."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.tissue import TissueMask
from napari_nucbudget.errors import ImageError
from napari_nucbudget.io.files import write_atomically

__all__ = ["read_mask", "write_mask"]

MAX_PIXELS = 400_000_000
"""Largest mask that is read; a tenth of the slide's width is more than enough."""


def write_mask(path: Path, tissue: TissueMask) -> None:
    """Write a mask as a PNG of one bit.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(tissue.mask).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def read_mask(path: Path, shape: tuple[int, int]) -> TissueMask:
    """Tissue of a slide of `shape` from a PNG, JPEG or TIFF: whatever is not black.

    Raises
    ------
    ImageError
        Where the file cannot be read, or is too large.
    RegionError
        Where its proportions are not the slide's.
    """
    return TissueMask.from_array(_plane(path), shape)


def _plane(path: Path) -> NDArray[np.bool_]:
    from PIL import Image, UnidentifiedImageError

    try:
        # Only its header is read here, so that a forged size takes no memory.
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ImageError(
                    f"{path} has {picture.height} x {picture.width} pixels; a mask of tissue may "
                    f"have {MAX_PIXELS / 1e6:.0f} million. Save it smaller, with the slide's "
                    "proportions."
                )
            pixels: NDArray[Any] = np.asarray(
                picture.convert("RGB") if _coloured(picture) else picture
            )
    except UnidentifiedImageError:
        raise ImageError(f"{path} is no picture that can be read: save the mask as PNG.") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is too large for a mask of tissue. Save it smaller.") from error
    except (OSError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be read: {reason}.") from error
    mask: NDArray[np.bool_] = (pixels != 0).any(axis=2) if pixels.ndim == 3 else pixels != 0
    return mask


def _coloured(picture: Any) -> bool:
    """Whether it has more than one channel; of transparency nothing is known, so it goes."""
    return picture.mode not in ("1", "L", "I", "F") and not picture.mode.startswith("I;")
