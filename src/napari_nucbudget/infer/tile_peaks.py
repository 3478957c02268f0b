"""What a tile must see, and which peaks it owns: the rule that makes tiled equal whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.proximity import (
    NEIGHBOURS,
    Peaks,
    gaussian_radius,
    local_maxima,
    smooth,
)
from napari_nucbudget.core.tiling import Tile, tiles
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.card import ModelCard
from napari_nucbudget.types.image import Region

__all__ = ["SCORE_FLOOR", "TilePeaks", "check_threshold"]

CANDIDATE_FLOOR = 0.001
"""Height on the map below which a local maximum is flat background."""
SCORE_FLOOR = 0.01
"""Proposals below this score are never kept, whatever the threshold."""


@dataclass(frozen=True)
class TilePeaks:
    """How the map of a tile becomes the peaks that its core owns.

    Attributes
    ----------
    card : ModelCard
    distance : float
        Minimum distance, model pixels; at least `NEIGHBOURS`.
    sight : int
        Pixels of the map around a core that its peaks depend on.
    halo : int
        Pixels of the image around a core that its peaks depend on.
    align : int
        Model pixels of whose multiples windows begin, see `core.tiling.tiles`.
    """

    card: ModelCard
    distance: float
    sight: int
    halo: int
    align: int = 1

    @classmethod
    def of(cls, detector: Detector, min_distance_um: float | None = None) -> TilePeaks:
        """The rule of a detector, with another minimum distance where one is given.

        Raises
        ------
        ConfigError
            Where the minimum distance is not above 0, or no number.
        """
        card = detector.card
        um = card.min_distance_um if min_distance_um is None else min_distance_um
        if um is None or not 0 < um < math.inf:
            raise ConfigError(f"The minimum distance must be above 0 µm, got {um!r}.")
        distance = max(um / card.input.mpp, NEIGHBOURS)
        # A peak is judged by its neighbours within the minimum distance, and refined by the
        # next ones.
        near = max(math.ceil(distance) + 1, gaussian_radius(_score_blur(card)))
        sight = near + gaussian_radius(card.smoothing_px or 0.0)
        return cls(card, distance, sight, detector.halo + sight, detector.alignment)

    def tiles(
        self, region: Region, shape: tuple[int, int], size: int | tuple[int, int]
    ) -> Iterator[Tile]:
        """Tiles of the model grid of that `shape` that cover `region`, see `core.tiling.tiles`."""
        return tiles(region, shape, size=size, halo=self.halo, align=self.align)

    def smoothed(self, proximity: NDArray[Any]) -> NDArray[Any]:
        """The map in which peaks are sought."""
        return smooth(proximity, self.card.smoothing_px or 0.0)

    def scored(self, smoothed: NDArray[Any], floor: float) -> Peaks:
        """Peaks whose score, the height of the calmer map there, reaches `floor`."""
        lowest = min(CANDIDATE_FLOOR, floor)
        seen = local_maxima(smoothed, min_distance=self.distance, threshold=lowest)
        calm = smooth(smoothed, _score_blur(self.card))
        score = calm[seen.pixel[:, 0], seen.pixel[:, 1]].astype(np.float32)
        keep = score >= np.float32(floor)
        return Peaks(seen.pixel[keep], seen.yx[keep], score[keep])

    def owned(self, smoothed: NDArray[Any], tile: Tile, floor: float) -> Peaks:
        """Peaks whose pixel lies in the tile's core, in pixels of the model grid."""
        seen = self.scored(smoothed, floor)
        place = (tile.read.y, tile.read.x)
        own = tile.core.contains(seen.pixel + place)
        return Peaks(seen.pixel[own] + place, seen.yx[own] + place, seen.height[own])


def check_threshold(threshold: float | None, card: ModelCard) -> float:
    """The lowest score: as given, else the card's.

    Raises
    ------
    ConfigError
        Where it lies outside 0 .. 1, or neither says it.
    """
    threshold = card.threshold if threshold is None else threshold
    if threshold is None or not 0 <= threshold <= 1:
        raise ConfigError(f"The threshold must lie in 0 .. 1, got {threshold!r}.")
    return threshold


def _score_blur(card: ModelCard) -> float:
    """Standard deviation of the Gaussian from the map of peaks to the map of scores."""
    fine = card.smoothing_px or 0.0
    coarse = fine if card.score_smoothing_px is None else card.score_smoothing_px
    return math.sqrt(max(0.0, coarse**2 - fine**2))
