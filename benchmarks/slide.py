"""A slide from file to table, against the network alone on the same pixels, in one run.

::

    nucbudget sample-slide drawn.ome.tif --size 3000x3000 --tissue 1
    python benchmarks/slide.py drawn.ome.tif --classify nuclei-context-cnn

Prints the rate of each step alone, then of the whole run against the network alone, in turn for
so many rounds; the ratio is what decoding, tissue, peaks and writing cost on top of the network.
By the clock it means something on a machine that does nothing else; processor time also counts
what is hidden behind other work. Ends with 1 where the median ratio by the clock is above
``--most``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from napari_nucbudget.core.tissue import find_tissue
from napari_nucbudget.infer.classify import iter_classify
from napari_nucbudget.infer.detect import pixel_size
from napari_nucbudget.infer.slide import MAX_MEMORY, iter_slide
from napari_nucbudget.infer.slide_blocks import SlideModel
from napari_nucbudget.infer.slide_plan import plan_blocks, tile_for_memory
from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.slide_runs import SlideRunFolder
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_classifier, load_detector
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.progress import result_of


@dataclass
class Clock:
    """Seconds by the clock and of the processor that pieces of work took."""

    wall: float = 0.0
    processor: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor


@dataclass
class Alone:
    """Steps on the tiles of a slide, each for itself.

    Attributes
    ----------
    megapixels : float
        Of the model, without halo.
    megapixels_read : float
        Of the level that is read, with halo.
    """

    megapixels: float = 0.0
    megapixels_read: float = 0.0
    decode: Clock = field(default_factory=Clock)
    read: Clock = field(default_factory=Clock)
    network: Clock = field(default_factory=Clock)
    peaks: Clock = field(default_factory=Clock)


def each_alone(path: Path, detector: Detector) -> Alone:
    """Decoding; decoding and rescaling; the network; its peaks: on every tile with tissue."""
    source, other = open_image(path), open_image(path)  # so that neither has the other's tiles
    mpp = pixel_size(source, None)
    model = SlideModel.of(source, detector, mpp=mpp, threshold=detector.card.threshold or 0.5)
    grid, rule = model.grid, model.rule
    tissue = find_tissue(source, mpp=mpp)
    tile = tile_for_memory(MAX_MEMORY, wanted=detector.tile)
    blocks = plan_blocks(grid, tissue, tile=tile, halo=rule.halo, align=rule.align)
    level = source.levels[grid.level]
    alone = Alone()
    for piece in (piece for block in blocks for piece in block.tiles):
        factor = grid.step / level.downsample
        window = Region(*(int(n * factor) for n in _yxhw(piece.read))).clipped(level.shape)
        with alone.decode.running():
            other.read(window, grid.level)
        with alone.read.running():
            pixels = grid.read(piece.read)
        with alone.network.running():
            proximity = detector.proximity(pixels)
        with alone.peaks.running():
            rule.owned(rule.smoothed(proximity), piece, model.threshold)
        alone.megapixels += piece.core.area / 1e6
        alone.megapixels_read += window.area / 1e6
    return alone


def _yxhw(region: Region) -> tuple[int, int, int, int]:
    return region.y, region.x, region.height, region.width


def tell(step: str, amount: float, unit: str, clock: Clock) -> None:
    """A row of the table: rates by processor time and by the clock."""
    print(
        f"{step:32}{amount / clock.processor:12,.2f}{amount / clock.wall:12,.2f}  {unit}",
        flush=True,
    )


def after_detection(path: Path, out: Path, classifier: str | None, device: str) -> None:
    """Rates of writing the nuclei of a finished run, and of typing them."""
    (points,) = read_points(out / "nuclei.parquet")
    nuclei, clock = points.nuclei, Clock()
    run = SlideRunFolder.find(out)
    assert run is not None
    assert points.shape is not None
    assert points.mpp is not None
    with tempfile.TemporaryDirectory() as again:
        copy = SlideRunFolder.begin(Path(again), run.facts)
        with clock.running():
            copy.write_part(0, nuclei, ())
            copy.finish([0], points.image, points.shape, points.mpp)
    tell("table, written twice", len(nuclei), "nuclei", clock)
    if classifier is not None:
        model, clock = load_classifier(classifier, device=device), Clock()
        source = open_image(path)
        with clock.running():
            result_of(iter_classify(source, nuclei, model, mpp=points.mpp))
        tell(f"types, {classifier}", len(nuclei), "nuclei", clock)


def main() -> None:
    parser = argparse.ArgumentParser(description="A slide against its network alone.")
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default="nuclei-fast")
    parser.add_argument("--classify", help="Also time a classifier.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--most", type=float, default=1.3, help="Highest ratio.")
    options = parser.parse_args()
    detector = load_detector(options.model, device=options.device)
    ratios = []
    for number in range(options.rounds):
        alone, whole = each_alone(options.slide, detector), Clock()
        area = alone.megapixels
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            with whole.running():
                result = result_of(iter_slide(options.slide, detector, out=out))
            print(
                f"round {number + 1}: {area:.1f} megapixels of the model, "
                f"{result.table.nuclei:,} nuclei, on {detector.device}"
            )
            print(f"{'a second':32}{'processor':>12}{'clock':>12}")
            tell("decoding", alone.megapixels_read, "megapixels of the level read", alone.decode)
            tell("decoding and rescaling", area, "megapixels", alone.read)
            tell("network", area, "megapixels", alone.network)
            tell("smoothing and peaks", area, "megapixels", alone.peaks)
            after_detection(options.slide, out, options.classify, options.device)
        tell("whole slide", area, "megapixels", whole)
        ratio = whole.wall / alone.network.wall
        ratios.append(ratio)
        print(
            f"whole slide against network alone: {ratio:.2f} by the clock, "
            f"{whole.processor / alone.network.processor:.2f} in processor time"
        )
    median = statistics.median(ratios)
    print(f"median ratio by the clock: {median:.2f}")
    if median > options.most:
        raise SystemExit(f"FAILS: the ratio is above {options.most:g}.")


if __name__ == "__main__":
    main()
