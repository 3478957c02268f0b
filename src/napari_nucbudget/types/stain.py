"""How strongly an image is stained, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_nucbudget.errors import ConfigError

__all__ = ["StainStatistics"]


@dataclass(frozen=True)
class StainStatistics:
    """Optical density of an image's tissue: mean and standard deviation in R, G, B.

    `pixels` is how many they were taken from.

    Raises
    ------
    ConfigError
        Where they cannot be such figures.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pixels: int

    def __post_init__(self) -> None:
        values = (*self.mean, *self.std)
        if not (
            len(self.mean) == len(self.std) == 3
            and all(math.isfinite(v) and v >= 0 for v in values)
            and self.pixels >= 0
        ):
            raise ConfigError(
                "A stain is three means and three standard deviations of optical density, none "
                f"below 0, and a number of pixels; got {self.mean}, {self.std}, {self.pixels}."
            )
