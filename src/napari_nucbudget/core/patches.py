"""Square patches around nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.mirroring import mirrored

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
    height, width = pixels.shape[:2]
    places = np.asarray(yx, dtype=np.float64).reshape(-1, 2)
    rows, columns = np.floor(places + 0.5).astype(np.intp).T
    if len(rows) and (
        min(rows.min(), columns.min()) < 0 or rows.max() >= height or columns.max() >= width
    ):
        raise ValueError(f"A nucleus lies outside the image of {height} x {width} pixels.")
    top, left = rows - reach, columns - reach
    whole = (np.minimum(top, left) >= 0) & (top + size <= height) & (left + size <= width)
    if min(height, width) < size:
        patches = np.empty((len(rows), size, size, pixels.shape[2]), pixels.dtype)
    else:  # those across the border follow
        held = np.clip(top, 0, height - size), np.clip(left, 0, width - size)
        patches = _windows(pixels, *held, size)
    window = np.arange(size)
    y = mirrored(top[~whole][:, None] + window, height)
    x = mirrored(left[~whole][:, None] + window, width)
    patches[~whole] = pixels[y[:, :, None], x[:, None]]
    return patches


def _windows(
    pixels: NDArray[Any], top: NDArray[np.intp], left: NDArray[np.intp], size: int
) -> NDArray[Any]:
    """Copies of the windows of (H, W, C) `pixels` with these corners, all inside.

    A row of a window, its pixels with their channels, is contiguous: it is taken as one value.
    """
    height, width, channels = pixels.shape
    pixels = np.ascontiguousarray(pixels)
    down, right, _ = pixels.strides
    row = np.dtype((np.void, size * right))
    shape = (height - size + 1, width - size + 1, size)
    windows: NDArray[Any] = np.ndarray(shape, row, pixels.data, strides=(down, right, down))
    return windows[top, left].view(pixels.dtype).reshape(-1, size, size, channels)
