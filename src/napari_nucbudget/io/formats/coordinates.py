"""Where other programs put the origin: the one place that knows of half pixels.

Ours are (y, x) with pixel centres at whole numbers, as in napari. The top left
pixel's centre is then at

======== ========== ==========================================
centre   (0, 0)     ours; COCO keypoints
corner   (0.5, 0.5) QuPath and COCO boxes: whole numbers are pixel corners
matlab   (1, 1)     MATLAB: rows and columns are counted from 1
======== ========== ==========================================
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Convention", "from_file", "shortest", "to_file"]

Convention = Literal["centre", "corner", "matlab"]

OFFSETS: dict[str, float] = {"centre": 0.0, "corner": 0.5, "matlab": 1.0}
"""Added to our coordinates to have theirs."""


def to_file(yx: NDArray[np.float32], convention: Convention) -> NDArray[np.float64]:
    """(N, 2) coordinates x, y as another program counts them; `from_file` inverts it exactly.

    Decimals that float32 does not hold are dropped, so that files stay short.
    """
    offset = OFFSETS[convention]
    xy = np.asarray(yx, dtype=np.float32)[:, ::-1]
    return shortest(xy.astype(np.float64) + offset, xy, offset)


def from_file(xy: Any, convention: Convention) -> NDArray[np.float32]:
    """(N, 2) our coordinates y, x of another program's x, y."""
    xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    yx: NDArray[np.float32] = (xy[:, ::-1] - OFFSETS[convention]).astype(np.float32)
    return yx


def shortest(
    values: NDArray[np.float64], meant: NDArray[np.float32], offset: float = 0.0
) -> NDArray[np.float64]:
    """`values` with as few decimals as give `meant` back: float32(value - offset) == meant."""
    result = values.copy()
    for decimals in (7, 6, 5, 4, 3, 2):
        rounded = np.round(values, decimals)
        same = (rounded - offset).astype(np.float32) == meant
        result[same] = rounded[same]
    return result
