"""A proximity map with its place in the image, kept so that thresholds move live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.image import Region

__all__ = ["ScoreMap"]


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """Smoothed proximity map on the model's pixel grid.

    Attributes
    ----------
    values : (h, w) float32
    origin : (int, int)
        Row and column of ``values[0, 0]`` in the model grid of the whole image.
    step : float
        Level-0 pixels per model pixel; the model grid starts at the image's top left corner.
    region : Region, optional
        Level-0 rectangle in which nuclei are wanted. `values` reaches beyond it, so that a
        peak at its edge is judged by the same neighbours as in the image as a whole.
    """

    values: NDArray[np.float32]
    origin: tuple[int, int]
    step: float
    region: Region | None = None

    def to_level0(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Level-0 coordinates (pixel centres) of (N, 2) positions in `values`."""
        placed: NDArray[np.float64] = (yx + np.asarray(self.origin) + 0.5) * self.step - 0.5
        return placed

    def to_map(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Inverse of `to_level0`."""
        placed: NDArray[np.float64] = (yx + 0.5) / self.step - 0.5 - np.asarray(self.origin)
        return placed
