"""The steps around the networks against what they replace: peaks, smoothing, patches, mask.

Seconds of processor time on one thread, in turn; writes ``runs/bench/steps.json``.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from pairs import Row, row, seeded, times_in_turn, write
from scipy.ndimage import correlate1d, gaussian_filter
from skimage.color import rgb2hsv
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu

from napari_nucbudget.core import peak_pixels
from napari_nucbudget.core.patches import cut_patches
from napari_nucbudget.core.proximity import local_maxima, proximity_map, smooth
from napari_nucbudget.core.tissue import OVERVIEW_UM, tissue_mask
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.samples.locate import sample_path
from napari_nucbudget.types.image import Region

SIDE, PATCH, NUCLEI, MASK_SIDE = 2048, 27, 10_000, 3300
DISTANCE, THRESHOLD = 5.0, 0.05


def maps() -> dict[str, NDArray[np.float32]]:
    """A map as of a network, and smoothed noise, both with about 15,000 peaks."""
    dots = seeded().uniform(0, SIDE, (18_000, 2))
    drawn = smooth(proximity_map(dots, (SIDE, SIDE), alpha=3.0, d_max=8.0), 1.0)
    noise = gaussian_filter(seeded().random((SIDE, SIDE)).astype(np.float32), 3.2)
    noise = (noise - noise.min()) / np.ptp(noise)
    return {"drawn map": drawn, "smoothed noise": noise.astype(np.float32)}


def time_peaks(name: str, values: NDArray[np.float32], rounds: int) -> list[Row]:
    """Whole `local_maxima`, sub-pixel places included, against skimage's pixels."""

    def ours() -> Any:
        return local_maxima(values, min_distance=DISTANCE, threshold=THRESHOLD)

    def numpys() -> object:
        with patch.object(peak_pixels, "compiled", lambda loop: None):
            return ours()

    def skimage() -> object:
        return peak_local_max(  # type: ignore[no-untyped-call]
            values, min_distance=4, threshold_abs=THRESHOLD, exclude_border=False
        )

    baseline = f"skimage peak_local_max, {name}"
    works = {baseline: skimage, f"peaks, numpy, {name}": numpys}
    if find_spec("numba") is not None:
        works[f"peaks, numba, {name}"] = ours
    times = times_in_turn(works, rounds=rounds)
    count = len(ours().yx)
    unit = f"MPix/s, {count:,} peaks"
    return [
        row(times, what, baseline, value=lambda s: SIDE**2 / 1e6 / s, unit=unit)
        for what in works
        if what != baseline
    ]


def time_smoothing(values: NDArray[np.float32], rounds: int) -> list[Row]:
    sigma = 1.5
    taps = np.exp(-0.5 * (np.arange(-6, 7) / sigma) ** 2)

    def scipy() -> object:
        once = correlate1d(values, taps / taps.sum(), axis=0, mode="reflect")
        return correlate1d(once, taps / taps.sum(), axis=1, mode="reflect")

    baseline, what = "scipy correlate1d twice", "smoothing, 1.5 px"
    times = times_in_turn({baseline: scipy, what: lambda: smooth(values, sigma)}, rounds=rounds)
    return [row(times, what, baseline, value=lambda s: SIDE**2 / 1e6 / s, unit="MPix/s")]


def time_patches(rounds: int) -> list[Row]:
    """With the border rule: a few of the nuclei lie within a patch's reach of it."""
    pixels = seeded().integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    yx = seeded().uniform(0, SIDE - 1, (NUCLEI, 2))

    def loop() -> object:
        reach = PATCH // 2
        framed = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
        corners = np.floor(yx + 0.5).astype(int)
        return np.stack([framed[y : y + PATCH, x : x + PATCH] for y, x in corners])

    baseline, what = "a loop over nuclei", f"patches of {PATCH} x {PATCH}"
    times = times_in_turn(
        {baseline: loop, what: lambda: cut_patches(pixels, yx, PATCH)}, rounds=rounds
    )
    return [row(times, what, baseline, value=lambda s: NUCLEI / s / 1e6, unit="million/s")]


def time_mask(rounds: int) -> list[Row]:
    """On tissue of the sample image, repeated to the size of a slide's overview."""
    source = open_image(sample_path("drawn_biopsy.ome.tif"))
    small = source.read(Region.whole(source.shape))
    repeats = [-(-MASK_SIDE // n) for n in small.shape[:2]]
    rgb = np.ascontiguousarray(np.tile(small, (*repeats, 1))[:MASK_SIDE, :MASK_SIDE])

    def skimage() -> Any:
        saturation = rgb2hsv(rgb)[..., 1]
        return saturation > threshold_otsu(saturation)  # type: ignore[no-untyped-call]

    baseline, what = "skimage rgb2hsv and threshold_otsu", "tissue mask"
    times = times_in_turn(
        {baseline: skimage, what: lambda: tissue_mask(rgb, mpp=OVERVIEW_UM)}, rounds=rounds
    )
    return [row(times, what, baseline, value=lambda s: MASK_SIDE**2 / 1e6 / s, unit="MPix/s")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    drawn = maps()
    rows = [r for name, values in drawn.items() for r in time_peaks(name, values, rounds)]
    rows += time_smoothing(drawn["drawn map"], rounds) + time_patches(rounds) + time_mask(rounds)
    write("steps", rows)


if __name__ == "__main__":
    main()
