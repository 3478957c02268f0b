"""A slide from file to table, against the network alone on the same pixels, in one run.

::

    nucbudget sample-slide drawn.ome.tif --size 3000x3000 --tissue 1
    python benchmarks/slide.py drawn.ome.tif

Prints megapixels of tissue per second, by the clock and by processor time; the
ratio is what decoding, tissue, peaks and writing cost on top of the network.
By the clock it means something on a machine that does nothing else; processor
time also counts what is hidden behind other work.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from napari_nucbudget.core.tissue import find_tissue
from napari_nucbudget.infer.detect import pixel_size
from napari_nucbudget.infer.slide import MAX_MEMORY, iter_slide
from napari_nucbudget.infer.slide_blocks import SlideModel
from napari_nucbudget.infer.slide_plan import plan_blocks, tile_for_memory
from napari_nucbudget.io.images import open_image
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.types.progress import result_of


@dataclass
class Clock:
    """Seconds since it was made, by the clock and of the processor."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Clock:
        return cls(time.perf_counter(), time.process_time())

    def add(self, other: Clock) -> None:
        self.wall += other.wall
        self.processor += other.processor

    def since(self) -> Clock:
        now = Clock.now()
        return Clock(now.wall - self.wall, now.processor - self.processor)


def each_alone(path: Path, detector: Detector) -> tuple[dict[str, Clock], float]:
    """Time of reading, network and peaks on the tiles of a slide, and their megapixels."""
    source = open_image(path)
    mpp = pixel_size(source, None)
    model = SlideModel.of(source, detector, mpp=mpp, threshold=0.5)
    tissue = find_tissue(source, mpp=mpp)
    tile = tile_for_memory(MAX_MEMORY)
    blocks = plan_blocks(model.grid, tissue, tile=tile, halo=model.rule.halo)
    total = {step: Clock(0.0, 0.0) for step in ("read", "network", "peaks")}
    area = 0
    for piece in (piece for block in blocks for piece in block.tiles):
        started = Clock.now()
        pixels = model.grid.read(piece.read)
        total["read"].add(started.since())
        started = Clock.now()
        proximity = detector.proximity(pixels)
        total["network"].add(started.since())
        started = Clock.now()
        model.rule.owned(model.rule.smoothed(proximity), piece, model.threshold)
        total["peaks"].add(started.since())
        area += piece.core.area
    return total, area / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="A slide against its network alone.")
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default="nuclei-fcn")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    detector = load_detector(options.model, device=options.device)
    for _ in range(options.rounds):
        steps, area = each_alone(options.slide, detector)
        alone = steps["network"]
        with tempfile.TemporaryDirectory() as out:
            started = Clock.now()
            result = result_of(iter_slide(options.slide, detector, out=Path(out) / "run"))
            whole = started.since()
        rates = ", ".join(f"{k} {area / v.processor:.2f}" for k, v in steps.items())
        print(f"megapixels per processor second, each step alone: {rates}")
        print(
            f"{area:.1f} megapixels, {result.table.nuclei:,} nuclei: network alone "
            f"{area / alone.wall:.3f} MPix/s ({area / alone.processor:.3f} per processor second), "
            f"whole slide {area / whole.wall:.3f} ({area / whole.processor:.3f}); ratio "
            f"{whole.wall / alone.wall:.2f} by the clock, "
            f"{whole.processor / alone.processor:.2f} in processor time"
        )


if __name__ == "__main__":
    main()
