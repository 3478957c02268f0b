"""Stain as optical density: how much haematoxylin and eosin a pixel holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["HE_MATRIX", "jitter_stain", "to_optical_density", "to_rgb"]

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
