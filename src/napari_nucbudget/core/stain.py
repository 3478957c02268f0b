"""Stain as optical density: how much a pixel holds, how much an image, and the same elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.stain import StainStatistics

__all__ = [
    "HE_MATRIX",
    "StainAlignment",
    "jitter_stain",
    "stain_alignment",
    "stain_statistics",
    "tissue_density",
    "to_optical_density",
    "to_rgb",
]

TISSUE_DENSITY = 0.15
"""Optical density, mean of R, G and B, from which a pixel counts as tissue."""
DOUBT = 20_000
"""Tissue pixels at which an image's own statistics weigh as much as the reference."""
GREATEST_GAIN = 3.0
"""No contrast is changed by more than this factor, either way."""

HE_MATRIX = np.array(
    [
        [0.650, 0.704, 0.286],  # haematoxylin
        [0.072, 0.990, 0.105],  # eosin
        [0.268, 0.570, 0.776],  # the residual that both leave
    ],
    dtype=np.float32,
)
"""Optical densities of the stains in R, G, B (Ruifrok and Johnston 2001), rows of length 1."""
HE_MATRIX /= np.linalg.norm(HE_MATRIX, axis=1, keepdims=True)


def to_optical_density(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """Optical density of (..., 3) pixels in 0 .. 255; white is 0."""
    density: NDArray[np.float32] = -np.log((rgb.astype(np.float32) + 1.0) / 256.0)
    return density


def to_rgb(density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of `to_optical_density`, clipped to 0 .. 255."""
    rgb: NDArray[np.float32] = np.clip(256.0 * np.exp(-density) - 1.0, 0.0, 255.0)
    return rgb


def jitter_stain(
    rgb: NDArray[Any], rng: np.random.Generator, *, strength: float
) -> NDArray[np.float32]:
    """The same tissue with other amounts of stain.

    Haematoxylin and eosin are each scaled by 1 ± `strength` and shifted by
    ± `strength` / 4, drawn anew at each call. The result is clipped, never
    stretched to the full range: how dark a nucleus is tells what it is, and
    the widely copied version of this augmentation loses that (Tellez
    et al. 2019 describe the jitter).

    Parameters
    ----------
    rgb : (..., 3), 0 .. 255
    rng : numpy Generator
    strength : float
        0.05 is light, 0.2 strong; 0 gives the input back.

    Returns
    -------
    (..., 3) float32, 0 .. 255
    """
    if strength <= 0:
        return rgb.astype(np.float32)
    scale = np.ones(3, dtype=np.float32)
    shift = np.zeros(3, dtype=np.float32)
    scale[:2] = 1 + rng.uniform(-strength, strength, 2)
    shift[:2] = rng.uniform(-strength, strength, 2) / 4
    stains = to_optical_density(rgb) @ np.linalg.inv(HE_MATRIX)
    mixed: NDArray[np.float32] = (stains * scale + shift).astype(np.float32) @ HE_MATRIX
    return to_rgb(mixed)


@dataclass(frozen=True)
class StainAlignment:
    """Stains as strong, and as far apart, as in a reference: density times `gain` plus `shift`."""

    gain: NDArray[np.float32]
    shift: NDArray[np.float32]

    def __call__(self, rgb: NDArray[Any]) -> NDArray[np.float32]:
        """(..., 3) pixels in 0 .. 255, float32 in 0 .. 255."""
        return to_rgb(to_optical_density(rgb) * self.gain + self.shift)


def tissue_density(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """(N, 3) optical density of those of (..., 3) pixels in 0 .. 255 that hold stain."""
    density = to_optical_density(rgb.reshape(-1, 3))
    tissue: NDArray[np.float32] = density[density.mean(axis=1) > TISSUE_DENSITY]
    return tissue


def stain_statistics(density: NDArray[np.float32]) -> StainStatistics:
    """Statistics of what `tissue_density` gives; zeros where that is nothing."""
    if not len(density):
        return StainStatistics((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0)
    exact = density.astype(np.float64)
    mean, std = exact.mean(axis=0).tolist(), exact.std(axis=0).tolist()
    return StainStatistics(tuple(mean), tuple(std), len(density))


def stain_alignment(
    found: StainStatistics,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> StainAlignment:
    """What gives an image the mean and the standard deviation of a reference.

    Laboratories stain up to twice as strongly as each other, and differently in
    each channel (Reinhard et al. 2001 match the same two statistics, in another
    colour space). Few pixels say little: the image's own statistics count
    ``n / (n + 20,000)``, the reference's the rest, so that an image without tissue
    stays as it is.

    Parameters
    ----------
    found : StainStatistics
        Of the whole image, never of a patch: how dark a nucleus is beside the rest of
        its image tells what it is.
    mean, std
        Optical densities of the reference.
    """
    weight = found.pixels / (found.pixels + DOUBT)
    wanted, spread = np.asarray(mean), np.asarray(std)
    own = weight * np.asarray(found.mean) + (1 - weight) * wanted
    own_spread = weight * np.asarray(found.std) + (1 - weight) * spread
    gain = np.clip(spread / own_spread, 1 / GREATEST_GAIN, GREATEST_GAIN)
    return StainAlignment(gain.astype(np.float32), (wanted - own * gain).astype(np.float32))
