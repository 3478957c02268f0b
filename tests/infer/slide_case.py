"""A small slide with known discs, in many small blocks; also a script that computes it.

::

    python slide_case.py SLIDE MODEL OUT [SECONDS TO WAIT IN EVERY TILE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_nucbudget.infer import slide_plan
from napari_nucbudget.infer.slide import SlideResult, iter_slide
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.progress import result_of

SHAPE = (430, 470)
TISSUE = (slice(40, 400), slice(60, 420))
TILE, BLOCK = 64, 128


def small_blocks(patch: Any = setattr) -> None:
    """Blocks of 128 model pixels in tiles of 64, so that a small slide has many."""
    patch(slide_plan, "BLOCK", BLOCK)
    patch(slide_plan, "TILES_BY_MEMORY", ((0.0, TILE),))


def draw(seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Pixels of pink tissue on glass with dark discs, and their centres."""
    rng = np.random.default_rng(seed)
    rgb = np.full((*SHAPE, 3), (243, 243, 243), np.uint8)
    rgb[TISSUE] = (226, 170, 205)
    centres = rng.uniform((50, 70), (390, 410), (400, 2))
    kept: list[NDArray[np.float64]] = []
    for centre in centres:
        if all(np.hypot(*(centre - other)) > 14 for other in kept):
            kept.append(centre)
    rows, columns = np.indices(SHAPE)
    for y, x in kept:
        rgb[(rows - y) ** 2 + (columns - x) ** 2 <= 16] = (80, 40, 120)
    return rgb, np.array(kept)


def write(path: Path, rgb: NDArray[np.uint8], mpp: float = 0.55) -> Path:
    with tifffile.TiffWriter(path) as tif:
        tif.write(
            rgb,
            tile=(64, 64),
            photometric="rgb",
            compression="zlib",
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
        )
    return path


def compute(path: Path, detector: Detector, out: Path, **options: Any) -> SlideResult:
    return result_of(iter_slide(path, detector, out=out, **options))


def damaged(path: Path, to: Path, row: int, column: int) -> Path:
    """A copy in which one tile of 64 pixels does not decode."""
    import tifffile

    to.write_bytes(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        page: Any = tif.pages[0]
        index = row * -(-SHAPE[1] // 64) + column
        offset, count = page.dataoffsets[index], page.databytecounts[index]
    with to.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * count)
    return to


def save_mask(path: Path, mask: Any) -> Path:
    from PIL import Image

    Image.fromarray(mask * 255).save(path)
    return path


if __name__ == "__main__":
    import threading

    import torch

    from napari_nucbudget.models.library import load_detector

    torch.set_num_threads(1)
    small_blocks()
    slide, model, out = sys.argv[1:4]
    detector = load_detector(model, device="cpu")
    Path(out).parent.joinpath("ready").touch()
    never = threading.Event()
    steps = iter_slide(slide, detector, out=out)
    if len(sys.argv) > 4:
        for _ in steps:
            never.wait(float(sys.argv[4]))
    else:
        result_of(steps)
