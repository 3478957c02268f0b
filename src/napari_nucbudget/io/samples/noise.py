"""Randomness as a function of place: the same number at a point, whichever window asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["hashed", "normal", "smooth_noise", "uniform"]

_PRIMES = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], dtype=np.uint32)
_GAIN = {2: 2.39, 3: 2.2}
"""By number of dimensions: brings the standard deviation to 0.42."""


def hashed(seed: int, *keys: Any) -> NDArray[np.uint32]:
    """uint32 hash of whole numbers; arrays are broadcast against each other.

    Parameters
    ----------
    seed : int
    *keys : int or integer arrays
        At most five; negative ones are allowed.
    """
    mixed = np.full((1,), (seed * 0x632BE5AB + 0x7F4A7C15) & 0xFFFFFFFF, dtype=np.uint32)
    for prime, key in zip(_PRIMES, keys, strict=False):
        mixed = (mixed ^ (np.atleast_1d(np.asarray(key, np.int64)).astype(np.uint32) * prime)) + (
            prime >> np.uint32(3)
        )
        mixed = mixed ^ (mixed >> np.uint32(15))
    # The finaliser spreads every input bit over the whole word.
    mixed = mixed * np.uint32(0x2C1B3C6D)
    mixed = mixed ^ (mixed >> np.uint32(12))
    mixed = mixed * np.uint32(0x297A2D39)
    return np.asarray(mixed ^ (mixed >> np.uint32(15)))


def uniform(seed: int, *keys: Any, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
    """Hash of whole numbers as a float64 in [low, high)."""
    return low + (high - low) * (hashed(seed, *keys) / 2.0**32)


def normal(seed: int, *keys: Any) -> NDArray[np.float32]:
    """Hash of whole numbers as a nearly normal deviate: the sum of four bytes, standardised."""
    word = hashed(seed, *keys)
    total = sum((word >> np.uint32(s)) & np.uint32(255) for s in (0, 8, 16, 24))
    return ((np.asarray(total).astype(np.float32) - 510.0) / 147.8).astype(np.float32)


def smooth_noise(seed: int, *coordinates: NDArray[Any]) -> NDArray[np.float32]:
    """Smooth noise about 0 (standard deviation 0.42) with features of about one unit.

    Gradient noise (Perlin 1985): slopes on the whole-number lattice, drawn by
    hash, joined by smoothsteps. In two dimensions the lattice is turned by an
    angle that depends on the seed, so that its axes do not show.

    Parameters
    ----------
    seed : int
    *coordinates : two or three arrays of one shape
        Position in lattice units.
    """
    places = [np.asarray(c, dtype=np.float64) for c in coordinates]
    if len(places) == 2:
        angle = float(uniform(seed, 997, high=np.pi)[0])
        cos, sin = np.cos(angle), np.sin(angle)
        places = [cos * places[0] - sin * places[1], sin * places[0] + cos * places[1]]
    floors = [np.floor(p) for p in places]
    lattice = [f.astype(np.int64) for f in floors]
    offset = [(p - f).astype(np.float32) for p, f in zip(places, floors, strict=True)]
    weights = [t * t * t * (t * (6 * t - 15) + 10) for t in offset]
    bits = 32 // len(places)
    mask, unit = np.uint32((1 << bits) - 1), np.float32(2.0 / (1 << bits))

    def corner(axis: int, steps: tuple[int, ...]) -> Any:
        if axis == len(lattice):
            word = hashed(seed, *(cell + o for cell, o in zip(lattice, steps, strict=True)))
            total = np.zeros(offset[0].shape, dtype=np.float32)
            for k, (t, o) in enumerate(zip(offset, steps, strict=True)):
                slope = ((word >> np.uint32(k * bits)) & mask).astype(np.float32) * unit
                total += (slope - np.float32(1)) * (t - np.float32(o))
            return total
        first = corner(axis + 1, (*steps, 0))
        second = corner(axis + 1, (*steps, 1))
        return first + weights[axis] * (second - first)

    noise: NDArray[np.float32] = corner(0, ()) * np.float32(_GAIN[len(places)])
    return noise
