"""Square patches around nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["cut_patches"]


def cut_patches(pixels: NDArray[Any], yx: NDArray[np.floating[Any]], size: int) -> NDArray[Any]:
    """Patches of an odd side, each with a nucleus in its middle pixel.

    Border rule: a patch that reaches beyond the image is filled by mirroring
    the image at its edge (the edge pixel is repeated), so that a nucleus at
    the border is still surrounded by tissue of its own kind.

    Parameters
    ----------
    pixels : (H, W, 3)
    yx : (N, 2) floats, pixels
        Rounded to the nearest pixel; must lie in the image.
    size : int
        Side of a patch, odd.

    Returns
    -------
    (N, size, size, 3), of the type of `pixels`
    """
    if size % 2 == 0:
        raise ValueError(f"A patch needs a middle pixel: its side must be odd, got {size}.")
    reach = size // 2
    framed = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    height, width = pixels.shape[:2]
    rows, columns = np.floor(np.asarray(yx, dtype=np.float64) + 0.5).astype(np.intp).T
    if len(rows) and (
        min(rows.min(), columns.min()) < 0 or rows.max() >= height or columns.max() >= width
    ):
        raise ValueError(f"A nucleus lies outside the image of {height} x {width} pixels.")
    windows = np.lib.stride_tricks.sliding_window_view(framed, (size, size), axis=(0, 1))
    # (H, W, 3, size, size), a view; only the wanted windows are copied
    return np.ascontiguousarray(np.moveaxis(windows[rows, columns], 1, -1))
