"""The detectors per pixel, in turn: against plain torch, end to end, by threads and image size.

Plain torch is table 1 as a module gives it: float32, channels first. Writes
``runs/bench/detectors.json``; ratios are of seconds a pixel.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from pairs import Row, row, seeded, times_in_turn, write

from napari_nucbudget.infer.detect import detect
from napari_nucbudget.infer.tile_peaks import TilePeaks
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.models.runtimes import RUNTIMES, prepare, why_not
from napari_nucbudget.types.image import ArraySource

CPU = torch.device("cpu")
PLAIN = "nuclei-fcn, plain torch float32"
UNIT = "MPix per processor second"
MPP = 0.55
FLOP = {"nuclei-fcn": 558_900, "nuclei-fast": 10_700}
"""Operations a pixel."""

Works = dict[str, Callable[[], object]]


def tissue_like(side: int) -> Any:
    """Pixels with about as many peaks as tissue has: blobs on noise."""
    from napari_nucbudget.core.proximity import proximity_map

    dots = seeded().uniform(0, 512, (310, 2))
    dark = proximity_map(dots, (512, 512), alpha=1.0, d_max=7.0)
    rgb = np.array([230, 200, 225]) - dark[..., None] * np.array([140, 150, 80])
    noisy = np.clip(rgb + seeded().normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    repeats = -(-side // 512)
    return np.ascontiguousarray(np.tile(noisy, (repeats, repeats, 1))[:side, :side])


def networks() -> tuple[Works, dict[str, float]]:
    """Every runtime that can be used here, on a tile as detection reads it; and the megapixels."""
    works: Works = {}
    sizes: dict[str, float] = {}
    for name in ("nuclei-fcn", "nuclei-fast"):
        detector = load_detector(name, device="cpu")
        network = detector.network
        own = tile_side(detector)
        x = torch.randn(1, 3, own, own)
        plain: Any = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        label = PLAIN if name == "nuclei-fcn" else f"{name}, plain torch float32"
        works[label] = inference(plain, x)
        sizes[label] = own**2 / 1e6
        last = x.contiguous(memory_format=torch.channels_last)
        for runtime in RUNTIMES:
            if why_not(runtime, network, CPU) is None:
                exact = "exact" if RUNTIMES[runtime].exact else "reduced"
                label = f"{name}, {runtime} ({exact})"
                works[label] = inference(prepare(network, CPU, None, runtime), last)
                sizes[label] = own**2 / 1e6
    return works, sizes


def tile_side(detector: Detector) -> int:
    """Side of a tile as detection reads it, halo included."""
    rule = TilePeaks.of(detector)
    return detector.tile + 2 * -(-rule.halo // rule.align) * rule.align


def inference(forward: Callable[[Any], Any], x: torch.Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return forward(x)

    return run


def whole(detector: Detector, side: int) -> Callable[[], object]:
    """Detection as a user has it: rescaling, network, smoothing, peaks."""
    source = ArraySource(tissue_like(side), mpp=MPP)
    return lambda: detect(source, detector)


def fastest(name: str) -> Detector:
    """With the exact runtime that is the fastest here."""
    detector = load_detector(name, device="cpu")
    return detector.with_runtime(detector.choose("auto").name)


def per_pixel(
    times: Mapping[str, list[float]], sizes: Mapping[str, float]
) -> dict[str, list[float]]:
    return {name: [t / sizes[name] for t in own] for name, own in times.items()}


def against_plain(side: int, rounds: int) -> list[Row]:
    """Networks, and whole detections, against the plain network of table 1."""
    works, sizes = networks()
    for name in ("nuclei-fcn", "nuclei-fast"):
        detector = fastest(name)
        label = f"{name}, end to end ({detector.runtime_name})"
        works[label], sizes[label] = whole(detector, 2 * side), (2 * side) ** 2 / 1e6
    times = per_pixel(times_in_turn(works, rounds=rounds), sizes)
    return [row(times, w, PLAIN, value=lambda s: 1 / s, unit=UNIT) for w in works if w != PLAIN]


def by_threads(side: int, rounds: int) -> list[Row]:
    """Wall time with two threads against one."""
    rows = []
    mpix, pixels = side**2 / 1e6, tissue_like(side).astype(np.float32)
    for name in ("nuclei-fcn", "nuclei-fast"):
        works = {
            f"{name}, {count} thread{'s' * (count > 1)}": _threaded(fastest(name), pixels, count)
            for count in (1, 2)  # a detector each: some runtimes fix their threads when made
        }
        times = times_in_turn(works, rounds=rounds, clock=time.perf_counter)
        one, two = works
        rows.append(row(times, two, one, value=lambda s: mpix / s, unit="MPix/s by the clock"))
    torch.set_num_threads(1)
    return rows


def _threaded(detector: Detector, pixels: Any, count: int) -> Callable[[], object]:
    def run() -> object:
        torch.set_num_threads(count)
        return detector.proximity(pixels)

    return run


def by_size(sides: list[int], rounds: int) -> list[Row]:
    """Whole detections of larger images against the smallest, a pixel."""
    detector = fastest("nuclei-fast")
    labels = {f"nuclei-fast, {side**2 / 1e6:.0f} MPix": side for side in sides}
    works = {label: whole(detector, side) for label, side in labels.items()}
    times = per_pixel(
        times_in_turn(works, rounds=rounds), {k: s**2 / 1e6 for k, s in labels.items()}
    )
    first, *others = works
    return [row(times, w, first, value=lambda s: 1 / s, unit=UNIT) for w in others]


def of_the_peak(rows: list[Row], rounds: int) -> dict[str, float]:
    """Share of the processor's peak that each reaches; measured by products of large matrices."""
    share = {}
    for dtype, word in ((torch.float32, "exact"), (torch.bfloat16, "reduced")):
        a = torch.randn(2048, 2048).to(dtype)
        times = times_in_turn({"product": lambda a=a: a @ a}, rounds=rounds)  # type: ignore[misc]
        peak = 2 * 2048**3 / min(times["product"])
        share[f"peak in {str(dtype).removeprefix('torch.')}, GFLOP/s"] = peak / 1e9
        for each in rows:
            model = each.what.partition(",")[0]
            if f"({word})" in each.what:
                share[each.what] = each.unit_value * 1e6 * FLOP[model] / peak
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--side", type=int, default=512, help="half of that of whole images, pixels"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", type=int, nargs="+", default=[1000, 4000, 10000, 20000])
    given = parser.parse_args()
    torch.set_num_threads(1)
    plain = against_plain(given.side, given.rounds)
    rows = plain + by_threads(2 * given.side, given.rounds)
    rows += by_size(given.sides, max(1, given.rounds // 2))
    write("detectors", rows, extra={"share_of_peak": of_the_peak(plain, given.rounds)})


if __name__ == "__main__":
    main()
