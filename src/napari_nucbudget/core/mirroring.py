"""What lies beyond the edge of an image: the image, mirrored, with the edge repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mirrored"]


def mirrored(index: NDArray[np.intp], length: int | NDArray[np.intp]) -> NDArray[np.intp]:
    """Indices into an axis of `length` for any whole numbers: -1 is 0, -2 is 1, `length` the last.

    Far beyond the edge the mirror image is mirrored again, as in
    ``numpy.pad(mode="symmetric")`` and scipy's "reflect".
    """
    wrapped = index % (2 * length)
    found: NDArray[np.intp] = np.minimum(wrapped, 2 * length - 1 - wrapped)
    return found
