"""What `fft` and its kernels agree on: sizes, and how much is summed up at once."""

from __future__ import annotations

from typing import NamedTuple

from napari_nucbudget.models.runtimes.lanes import LANES, has_wide_registers

__all__ = [
    "COMPLEX",
    "FREQUENCY",
    "HALF",
    "NARROW",
    "PLANES",
    "SIDE",
    "TAPS",
    "VALID",
    "WIDE",
    "Blocks",
    "blocks",
]

SIDE = 48
"""Of a transform's tile."""
TAPS = 11
VALID = SIDE - TAPS + 1
HALF = SIDE // 2 + 1
PLANES = 8
"""Vectors of the 128 channels after the 11 x 11 layer."""
COMPLEX = 2 * LANES
FREQUENCY = LANES * COMPLEX + COMPLEX
"""Between two frequencies of a layer's spectrum: no power of two, which the cache dislikes."""


class Blocks(NamedTuple):
    """How much is summed up at once, in registers.

    Attributes
    ----------
    seven, five : int
        Pixels of a row in a convolution of 7 x 7 and of 5 x 5.
    tiles : int
        Tiles of a product at one frequency; `together` is a multiple.
    pixels, planes : int
        Pixels of the last layers, and vectors of their outputs.
    together : int
        Tiles that share one spectrum of the layer: as many as the cache holds.
    """

    seven: int
    five: int
    tiles: int
    pixels: int
    planes: int
    together: int = 12


WIDE = Blocks(seven=20, five=24, tiles=12, pixels=12, planes=2)
"""For 32 registers of sixteen numbers."""
NARROW = Blocks(seven=5, five=6, tiles=3, pixels=6, planes=1)
"""For registers of fewer numbers, of which it takes two or more to a vector."""


def blocks() -> Blocks:
    """As many as the registers of this processor hold."""
    return WIDE if has_wide_registers() else NARROW
