"""A detection that is kept whole, so that threshold and minimum distance can move afterwards."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.infer.detect import (
    SCORE_FLOOR,
    WIDEST_MIN_DISTANCE_UM,
    iter_detect,
    peaks,
)
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import ImageSource, Region, check_mpp
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.types.score_map import ScoreMap

__all__ = ["MAX_MAP_PIXELS", "Proposals", "iter_propose"]

MAX_MAP_PIXELS = 100_000_000
"""Largest map that is kept: 400 MB of memory."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """All peaks of a region, and what is needed to select among them without the network.

    Attributes
    ----------
    peaks : Nuclei
        Every peak in the region with a score of at least `SCORE_FLOOR`, in level-0 pixels.
    region : Region
    mpp : float
        µm per level-0 pixel.
    detector : Detector
    min_distance_um : float
        With which `peaks` were found.
    score_map : ScoreMap or None
        Reaches beyond the region, so that peaks at its border are judged by what lies
        outside too. None where the region was too large to keep it.
    """

    peaks: Nuclei
    region: Region
    mpp: float
    detector: Detector
    min_distance_um: float
    score_map: ScoreMap | None = None

    def above(self, threshold: float) -> Nuclei:
        """Peaks whose score is at least `threshold`."""
        return self.peaks.above(threshold)

    def at_distance(self, min_distance_um: float) -> Proposals:
        """The same region with another minimum distance, from the kept map.

        Raises
        ------
        ConfigError
            Where the map was not kept, or the distance is not in
            0 .. `WIDEST_MIN_DISTANCE_UM`.
        """
        if self.score_map is None:
            raise ConfigError(
                "The map of this region was not kept, because it is too large: detect again "
                "with the new minimum distance, or in a smaller region."
            )
        if not 0 < min_distance_um <= WIDEST_MIN_DISTANCE_UM:
            raise ConfigError(
                f"The minimum distance must lie above 0 and up to {WIDEST_MIN_DISTANCE_UM:g} µm, "
                f"got {min_distance_um:g}."
            )
        found = peaks(self.score_map, self.detector, mpp=self.mpp, min_distance_um=min_distance_um)
        return replace(self, peaks=found, min_distance_um=min_distance_um)

    def density_mm2(self, count: int) -> float:
        """`count` nuclei per mm² of the region."""
        return count / (self.region.area * self.mpp**2 * 1e-6)


def iter_propose(
    source: ImageSource,
    detector: Detector,
    *,
    region: Region,
    mpp: float,
    threshold: float,
    min_distance_um: float,
    tile: int | None = None,
) -> Generator[Progress, None, Proposals]:
    """Like `iter_detect`, but returns `Proposals`, whose map is kept up to `MAX_MAP_PIXELS`.

    `threshold` is what the reports on the way count with; it limits nothing
    afterwards.

    Raises
    ------
    PixelSizeError, RegionError, ConfigError, DeviceError
    """
    step = detector.card.input.mpp / check_mpp(mpp, of="given")
    wanted = region.clipped(source.shape)
    keep = wanted.area / step**2 <= MAX_MAP_PIXELS
    detection = yield from iter_detect(
        source,
        detector,
        region=wanted,
        mpp=mpp,
        threshold=threshold if keep else SCORE_FLOOR,
        min_distance_um=min_distance_um,
        tile=tile,
        keep_map=keep,
    )
    proposals = Proposals(
        peaks=detection.nuclei,
        region=wanted,
        mpp=mpp,
        detector=detector,
        min_distance_um=min_distance_um,
        score_map=detection.score_map,
    )
    return proposals.at_distance(min_distance_um) if keep else proposals
