"""Where glands, stroma, fat and bare glass lie: fields that can be asked at any point.

All lengths are micrometres. Every field is a function of the seed and the
point alone, so that a window of the tissue is the same, however it is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.io.samples.noise import hashed, smooth_noise, uniform

__all__ = ["Anatomy", "survey"]

PITCH = 118.0
"""Spacing of the lattice on which glands grow, µm."""
FAR = 52.0
"""Distances from a gland saturate here: farther ones may be out of the search."""
FAT_PITCH = 72.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Fields at a set of points, arrays of the points' shape.

    Attributes
    ----------
    depth : µm inside the nearest gland's basement membrane, negative outside
    thickness : µm of epithelium before the lumen begins; huge in solid nests
    gland : integer name of the nearest gland
    fibre : a potential whose level sets are the collagen fibres, µm
    looseness : -1 (dense collagen) .. 1 (loose, oedematous)
    lymph : -1 .. 1, high in lymphocyte clusters
    fat : µm inside a fat cell, negative outside
    glass : µm (roughly) into the bare glass beside the tissue, negative in tissue
    """

    depth: NDArray[np.float64]
    thickness: NDArray[np.float64]
    gland: NDArray[np.int64]
    fibre: NDArray[np.float64]
    looseness: NDArray[np.float32]
    lymph: NDArray[np.float32]
    fat: NDArray[np.float64]
    glass: NDArray[np.float64]


def survey(y: NDArray[Any], x: NDArray[Any], *, seed: int) -> Anatomy:
    """Anatomy at the points (y, x) in µm."""
    depth, thickness, gland = _glands(y, x, seed)
    wave = smooth_noise(seed + 11, y / 75, x / 75)
    ripple = smooth_noise(seed + 12, y / 21, x / 21)
    crimp = smooth_noise(seed + 17, y / 7, x / 7)
    fibre = FAR * np.tanh(-depth / FAR) + 34.0 * wave + 5.5 * ripple + 1.1 * crimp
    glass = 170.0 * (smooth_noise(seed + 16, y / 420, x / 420) - 0.62)
    glass = glass + 6.0 * wave + 3.0 * ripple + 1.0 * crimp
    return Anatomy(
        depth=depth,
        thickness=thickness,
        gland=gland,
        fibre=fibre,
        looseness=smooth_noise(seed + 13, y / 130, x / 130),
        lymph=0.8 * smooth_noise(seed + 14, y / 85, x / 85)
        + 0.3 * smooth_noise(seed + 15, y / 24, x / 24),
        fat=_fat(y, x, seed, depth),
        glass=glass,
    )


def _glands(
    y: NDArray[Any], x: NDArray[Any], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Depth, thickness and name: stretched discs, bent by noise, that keep a septum apart."""
    wy = y + 10.0 * smooth_noise(seed + 1, y / 38, x / 38)
    wy = wy + 2.5 * smooth_noise(seed + 2, y / 11, x / 11)
    wx = x + 10.0 * smooth_noise(seed + 3, y / 38, x / 38)
    wx = wx + 2.5 * smooth_noise(seed + 4, y / 11, x / 11)
    row, column = (np.floor(w / PITCH).astype(np.int64) for w in (wy, wx))
    first = np.full(np.shape(wy), 1e3)
    second = first.copy()
    name = np.zeros(np.shape(wy), dtype=np.int64)
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            r, c = row + dr, column + dc
            key = hashed(seed + 5, r, c).astype(np.int64)
            radius = uniform(seed, key, 1, low=26.0, high=50.0)
            # Some places of the lattice hold no gland: there the stroma is wide.
            radius = np.where(uniform(seed, key, 2) < 0.08, -1e3, radius)
            lattice_y, lattice_x = (r + 0.5) * PITCH, (c + 0.5) * PITCH
            bare = smooth_noise(seed + 6, lattice_y / 270, lattice_x / 270) > 0.5
            bare |= _fat_field(lattice_y, lattice_x, seed) > 0.28
            radius = np.where(bare, -1e3, radius)
            cy = (r + uniform(seed, key, 3, low=0.12, high=0.88)) * PITCH
            cx = (c + uniform(seed, key, 4, low=0.12, high=0.88)) * PITCH
            angle = uniform(seed, key, 5, high=np.pi)
            stretch = uniform(seed, key, 6, low=1.0, high=1.25)
            cos, sin = np.cos(angle), np.sin(angle)
            along = ((wy - cy) * sin + (wx - cx) * cos) / stretch
            across = (wy - cy) * cos - (wx - cx) * sin
            distance = np.hypot(along, across) - radius
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            name = np.where(nearer, key, name)
            first = np.where(nearer, distance, first)
    septum = uniform(seed, name, 7, low=7.0, high=16.0)
    outside = np.maximum(first, (first - second + septum) / 2)
    thickness = uniform(seed, name, 8, low=13.0, high=21.0)
    thickness = np.where(uniform(seed, name, 9) < 0.22, 1e3, thickness)
    return -np.minimum(outside, 4 * FAR), thickness, name


def _fat_field(y: NDArray[Any], x: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """High where fat lobules are; glands keep away from them."""
    return smooth_noise(seed + 24, y / 230, x / 230)


def _fat(
    y: NDArray[Any], x: NDArray[Any], seed: int, depth: NDArray[np.float64]
) -> NDArray[np.float64]:
    wy = y + 5.0 * smooth_noise(seed + 21, y / 40, x / 40)
    wx = x + 5.0 * smooth_noise(seed + 22, y / 40, x / 40)
    row, column = (np.floor(w / FAT_PITCH).astype(np.int64) for w in (wy, wx))
    first = np.full(np.shape(y), 1e3)
    second = first.copy()
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            r, c = row + dr, column + dc
            key = hashed(seed + 23, r, c).astype(np.int64)
            cy = (r + uniform(seed, key, 1, low=0.2, high=0.8)) * FAT_PITCH
            cx = (c + uniform(seed, key, 2, low=0.2, high=0.8)) * FAT_PITCH
            # Fat comes in lobules: neighbouring cells are there or not together.
            there = _fat_field(cy, cx, seed) > 0.48
            radius = uniform(seed, key, 3, low=24.0, high=40.0)
            distance = np.where(there, np.hypot(wy - cy, wx - cx) - radius, 1e3)
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    outside = np.maximum(first, (first - second + 2.0) / 2)
    return np.asarray(np.minimum(-outside, -depth - 9.0))
