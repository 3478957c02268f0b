"""Handcrafted numbers that describe a nucleus: the cheap baseline beside learnt features.

All are taken from 31 x 31 pixels at 0.55 µm/px (17 µm) with the nucleus in the
middle, and none changes when the patch is turned by right angles or mirrored.

Rings around the middle pixel, by radius in pixels: *core* up to 3, *body* 3
to 6, *rim* 6 to 9, *surround* 9 to 15. *Nucleus* is all up to 8. Channels:
red, green, blue and their mean (light), 0 to 1; haematoxylin and eosin as
optical density (`core.stain`).

=========================  ======  =================================================
group                      count   what
=========================  ======  =================================================
mean_<channel>_<ring>      20      mean of red, green, blue, haematoxylin, eosin
sd_<channel>_<ring>        8       standard deviation of haematoxylin and light
h_p<percentile>            5       percentiles 5, 25, 50, 75, 95 of haematoxylin in
                                   the nucleus
patch_h_p<percentile>      3       percentiles 10, 50, 90 of it in the whole patch
edge_mean_<ring>           4       mean length of the gradient of light
edge_sd_<ring>             4       its standard deviation
edge_smooth_<ring>         4       its mean after a Gaussian of 2 px
outward_<ring>             4       mean of the gradient's part that points outwards
blob_<sigma>               3       Laplacian of Gaussian of haematoxylin in the
                                   middle, sigma 1.5, 3, 4.5 px times sigma squared
grain_<ring>_<lag>         6       mean difference of haematoxylin to the pixel 1, 2,
                                   4 px away along rows and columns, in the nucleus
                                   and in the surround
dark_core, dark_near       2       share of dark pixels up to 6 and up to 13 px; dark:
                                   smoothed haematoxylin half a standard deviation
                                   above its mean up to 13 px
dark_major, dark_minor     2       standard deviations of the dark pixels along their
                                   long and short axis, px, up to 11 px
dark_roundness             1       short by long axis
dark_offset                1       distance of their centroid from the middle, px
dark_edge                  1       their boundary, in pixel sides, by the square root
                                   of their number
darker_35, darker_50       2       share of the nucleus with light below 0.35, 0.5
stain_ratio                1       haematoxylin minus eosin, over their sum
stain_correlation          1       of haematoxylin and eosin in the nucleus
entropy                    1       of an 8-bin histogram of light in the nucleus, bits
skewness                   1       of haematoxylin in the nucleus
=========================  ======  =================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_nucbudget.core.stain import HE_MATRIX, to_optical_density

__all__ = ["DESCRIPTOR_SIDE", "describe", "descriptor_names"]

DESCRIPTOR_SIDE = 31
"""Side of the patches, pixels."""
CHUNK = 1000
TINY = 1e-9

Array = NDArray[np.float64]

_offset = np.indices((DESCRIPTOR_SIDE, DESCRIPTOR_SIDE)) - DESCRIPTOR_SIDE // 2
_radius = np.hypot(*_offset)
_RINGS = {
    "core": _radius <= 3,
    "body": (_radius > 3) & (_radius <= 6),
    "rim": (_radius > 6) & (_radius <= 9),
    "surround": (_radius > 9) & (_radius <= 15),
}
_NUCLEUS = _radius <= 8


def descriptor_names() -> tuple[str, ...]:
    """Names of the numbers, in order of the columns."""
    flat = np.zeros((1, DESCRIPTOR_SIDE, DESCRIPTOR_SIDE, 3))
    return tuple(_columns(flat))


def describe(patches: NDArray[Any]) -> NDArray[np.float32]:
    """Descriptors of nuclei, see the module for their meaning.

    Parameters
    ----------
    patches : (N, 31, 31, 3) uint8 or floats, 0 .. 255

    Returns
    -------
    (N, 74) float32

    Raises
    ------
    ValueError
        For patches of another size.
    """
    if patches.shape[1:] != (DESCRIPTOR_SIDE, DESCRIPTOR_SIDE, 3):
        raise ValueError(f"Patches must be (N, 31, 31, 3), got {patches.shape}.")
    parts = [
        np.stack(list(_columns(patches[start : start + CHUNK].astype(np.float64)).values()), axis=1)
        for start in range(0, len(patches), CHUNK)
    ]
    empty = np.zeros((0, len(descriptor_names())))
    return np.concatenate([empty, *parts]).astype(np.float32)


def _columns(rgb: Array) -> dict[str, Array]:
    """Every number of (N, 31, 31, 3) pixels by name, each (N,)."""
    inverse = np.linalg.inv(HE_MATRIX.astype(np.float64))
    stains = to_optical_density(rgb).astype(np.float64) @ inverse
    h, e = stains[..., 0], stains[..., 1]
    light = rgb.mean(axis=-1) / 255
    out: dict[str, Array] = {}
    channels = {"red": rgb[..., 0] / 255, "green": rgb[..., 1] / 255, "blue": rgb[..., 2] / 255}
    for name, values in {**channels, "h": h, "e": e}.items():
        for ring, mask in _RINGS.items():
            out[f"mean_{name}_{ring}"] = values[:, mask].mean(axis=1)
    for name, values in {"h": h, "light": light}.items():
        for ring, mask in _RINGS.items():
            out[f"sd_{name}_{ring}"] = values[:, mask].std(axis=1)
    for percentile in (5, 25, 50, 75, 95):
        out[f"h_p{percentile}"] = np.percentile(h[:, _NUCLEUS], percentile, axis=1)
    for percentile in (10, 50, 90):
        out[f"patch_h_p{percentile}"] = np.percentile(h.reshape(len(h), -1), percentile, axis=1)
    return out | _edges(light, h) | _grain(h) | _dark_area(h) | _nucleus(light, h, e)


def _edges(light: Array, h: Array) -> dict[str, Array]:
    out: dict[str, Array] = {}
    dy, dx = np.gradient(light, axis=(1, 2))
    length = np.hypot(dy, dx)
    for ring, mask in _RINGS.items():
        out[f"edge_mean_{ring}"] = length[:, mask].mean(axis=1)
        out[f"edge_sd_{ring}"] = length[:, mask].std(axis=1)
    smooth = np.hypot(*np.gradient(_blurred(light, 2.0), axis=(1, 2)))
    outward = (dy * _offset[0] + dx * _offset[1]) / np.maximum(_radius, 1)
    for ring, mask in _RINGS.items():
        out[f"edge_smooth_{ring}"] = smooth[:, mask].mean(axis=1)
        out[f"outward_{ring}"] = outward[:, mask].mean(axis=1)
    middle = slice(DESCRIPTOR_SIDE // 2 - 1, DESCRIPTOR_SIDE // 2 + 2)
    for sigma in (1.5, 3.0, 4.5):
        blob = _laplace(_blurred(h, sigma)) * sigma**2
        out[f"blob_{sigma:g}"] = blob[:, middle, middle].mean(axis=(1, 2))
    return out


def _grain(h: Array) -> dict[str, Array]:
    out: dict[str, Array] = {}
    for ring, mask in {"nucleus": _NUCLEUS, "surround": _RINGS["surround"]}.items():
        for lag in (1, 2, 4):
            down = np.abs(h[:, lag:] - h[:, :-lag])[:, mask[lag:] & mask[:-lag]]
            across = np.abs(h[:, :, lag:] - h[:, :, :-lag])[:, mask[:, lag:] & mask[:, :-lag]]
            out[f"grain_{ring}_{lag}"] = (down.mean(axis=1) + across.mean(axis=1)) / 2
    return out


def _dark_area(h: Array) -> dict[str, Array]:
    near = _radius <= 13
    smooth = _blurred(h, 1.0)
    values = smooth[:, near]
    level = values.mean(axis=1) + 0.5 * values.std(axis=1) + 1e-6  # a flat patch has none
    dark = (smooth > level[:, None, None]) & near
    inner = dark & (_radius <= 11)
    count = inner.sum(axis=(1, 2)).astype(np.float64)
    safe = np.maximum(count, 1)
    y, x = ((inner * axis).sum(axis=(1, 2)) / safe for axis in _offset)
    yy, xx = ((inner * axis**2).sum(axis=(1, 2)) / safe for axis in _offset)
    yx = (inner * (_offset[0] * _offset[1])).sum(axis=(1, 2)) / safe
    yy, xx, yx = yy - y * y, xx - x * x, yx - y * x
    middle, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    # a right-angled line of pixels has no width: guard against rounding below 0
    major, minor = (np.sqrt(np.maximum(middle + s * spread, 0.0)) for s in (1, -1))
    sides = (inner[:, 1:] != inner[:, :-1]).sum(axis=(1, 2)) + (
        inner[:, :, 1:] != inner[:, :, :-1]
    ).sum(axis=(1, 2))
    return {
        "dark_core": dark[:, _radius <= 6].mean(axis=1),
        "dark_near": dark[:, near].mean(axis=1),
        "dark_major": major,
        "dark_minor": minor,
        "dark_roundness": minor / np.maximum(major, 1e-3),
        "dark_offset": np.hypot(y, x),
        "dark_edge": sides / np.sqrt(safe),
    }


def _nucleus(light: Array, h: Array, e: Array) -> dict[str, Array]:
    bright, blue, pink = light[:, _NUCLEUS], h[:, _NUCLEUS], e[:, _NUCLEUS]
    blue_mean, pink_mean = blue.mean(axis=1), pink.mean(axis=1)
    blue_off, pink_off = blue - blue_mean[:, None], pink - pink_mean[:, None]
    blue_sd, pink_sd = blue.std(axis=1), pink.std(axis=1)
    bins = np.minimum((bright * 8).astype(int), 7)
    share = np.stack([(bins == b).mean(axis=1) for b in range(8)], axis=1)
    logs = np.log2(np.maximum(share, TINY))
    return {
        "darker_35": (bright < 0.35).mean(axis=1),
        "darker_50": (bright < 0.5).mean(axis=1),
        "stain_ratio": (blue_mean - pink_mean)
        / np.maximum(np.abs(blue_mean) + np.abs(pink_mean), 1e-3),
        "stain_correlation": (blue_off * pink_off).mean(axis=1)
        / np.maximum(blue_sd * pink_sd, 1e-6),
        "entropy": -(share * logs).sum(axis=1),
        "skewness": (blue_off**3).mean(axis=1) / np.maximum(blue_sd, 1e-3) ** 3,
    }


def _laplace(values: Array) -> Array:
    """Second differences along rows and columns; SciPy 1.14 has no `axes` for its own."""
    kernel = (1.0, -2.0, 1.0)
    down, across = (ndimage.correlate1d(values, kernel, axis=axis) for axis in (1, 2))
    return down + across


def _blurred(values: Array, sigma: float) -> Array:
    blurred: Array = ndimage.gaussian_filter(values, sigma=(0, sigma, sigma), mode="nearest")
    return blurred
