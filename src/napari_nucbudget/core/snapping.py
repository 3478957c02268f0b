"""Moving a click to the nucleus that it meant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.proximity import NEIGHBOURS, local_maxima
from napari_nucbudget.types.score_map import ScoreMap

__all__ = ["snapped"]

FLOOR = 0.05
"""Height below which a maximum of the map is background."""


def snapped(score_map: ScoreMap, yx: NDArray[Any], *, radius: float) -> NDArray[np.float64]:
    """Points moved to the nearest local maximum of a kept map.

    Parameters
    ----------
    score_map : ScoreMap
    yx : (N, 2), level-0 pixels
    radius : float, level-0 pixels
        Points with no maximum so near, or outside the map, stay where they are.
    """
    places = np.asarray(yx, np.float64).copy()
    reach = radius / score_map.step
    around = math.ceil(reach + NEIGHBOURS) + 2  # a maximum is judged by its own neighbours
    height, width = score_map.values.shape
    for row, (y, x) in enumerate(score_map.to_map(places)):
        top, left = max(math.floor(y) - around, 0), max(math.floor(x) - around, 0)
        part = score_map.values[
            top : min(math.floor(y) + around + 1, height),
            left : min(math.floor(x) + around + 1, width),
        ]
        if min(part.shape) < 3:
            continue
        found = local_maxima(part, min_distance=NEIGHBOURS, threshold=FLOOR).yx
        found = found + np.array([top, left])
        distance = np.hypot(*(found - (y, x)).T)
        if len(found) and distance.min() <= reach:
            places[row] = score_map.to_level0(found[distance.argmin()][None])[0]
    return places
