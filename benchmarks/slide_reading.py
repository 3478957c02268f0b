"""Readers of slides and the tissue mask, as ratios measured in one run.

::

    nucbudget sample-slide drawn.ome.tif --size 26000x26000
    python benchmarks/slide_reading.py drawn.ome.tif

Windows as a detector reads them, in useful megapixels per second of processor
time; rounds are interleaved. OpenSlide is left out where it is not installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from napari_nucbudget.core.overview import read_overview
from napari_nucbudget.core.tissue import OVERVIEW_UM, tissue_mask
from napari_nucbudget.io.slides import open_slide
from napari_nucbudget.types.image import Region

CORE, HALO, WINDOWS, ROUNDS = 1024, 15, 24, 5
MASK_SIDE = 3300

Reader = Callable[[int, int, int], object]


def by_tile(path: Path) -> Reader:
    slide = open_slide(path)
    assert slide is not None
    return lambda y, x, side: slide.read(Region(y, x, side, side))


def through_zarr(path: Path) -> Reader:
    import tifffile
    import zarr

    level = zarr.open_array(tifffile.TiffFile(path).series[0].aszarr(level=0), mode="r")
    return lambda y, x, side: np.asarray(level[y : y + side, x : x + side])


def through_openslide(path: Path) -> Reader:
    import openslide

    slide = openslide.OpenSlide(path)
    return lambda y, x, side: np.asarray(slide.read_region((x, y), 0, (side, side)))[..., :3]


def rate(reader: Reader, shape: tuple[int, int]) -> float:
    """Useful megapixels per second of processor time, row by row from the middle on."""
    across = min(8, (shape[1] - 2 * HALO) // CORE)
    top = shape[0] // 3
    started = time.process_time()
    for i in range(WINDOWS):
        y, x = top + CORE * (i // across), CORE * (i % across)
        reader(min(y, shape[0] - CORE - 2 * HALO), x, CORE + 2 * HALO)
    return WINDOWS * CORE**2 / 1e6 / (time.process_time() - started)


def readers(path: Path) -> None:
    slide = open_slide(path)
    assert slide is not None
    makers = {"by tile": by_tile, "zarr view": through_zarr, "OpenSlide": through_openslide}
    rates: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(ROUNDS):
        for name, make in makers.items():
            try:
                reader = make(path)
            except ImportError:
                continue
            rates[name].append(rate(reader, slide.shape))
    for name, values in rates.items():
        if values:
            ratios = [a / b for a, b in zip(rates["by tile"], values, strict=True)]
            print(
                f"{name:10} {median(values):6.1f} MPix/s, by tile is {median(ratios):.2f} times "
                f"as fast [{min(ratios):.2f} .. {max(ratios):.2f}]"
            )


def tissue(path: Path) -> None:
    from skimage.color import rgb2hsv
    from skimage.filters import threshold_otsu

    slide = open_slide(path)
    assert slide is not None
    small = read_overview(slide, step=max(1.0, OVERVIEW_UM / (slide.mpp or 0.5))).rgb
    repeats = [-(-MASK_SIDE // n) for n in small.shape[:2]]
    rgb = np.ascontiguousarray(np.tile(small, (*repeats, 1))[:MASK_SIDE, :MASK_SIDE])
    ratios, ours = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        tissue_mask(rgb, mpp=OVERVIEW_UM)
        between = time.process_time()
        saturation = rgb2hsv(rgb)[..., 1]
        saturation > threshold_otsu(saturation)  # type: ignore[no-untyped-call]  # noqa: B015
        ours.append(between - started)
        ratios.append((time.process_time() - between) / ours[-1])
    print(
        f"tissue mask of {rgb.shape[0]} x {rgb.shape[1]} pixels: {median(ours):.3f} s, "
        f"scikit-image takes {median(ratios):.1f} times as long "
        f"[{min(ratios):.1f} .. {max(ratios):.1f}]"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python benchmarks/slide_reading.py SLIDE")
    readers(Path(sys.argv[1]))
    tissue(Path(sys.argv[1]))
