"""An NVIDIA GPU: every runtime on a tile, and a slide from file to table.

::

    nucbudget sample-slide drawn.ome.tif --size 26812x25792 --tissue 1
    python benchmarks/gpu.py drawn.ome.tif

That slide has a sixteenth of the pixels of the paper's, all of them tissue, so that sixteen
times its time is what the paper's takes at most. Writes ``runs/bench/gpu.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from detectors import FLOP, tile_side
from pairs import MEASURED, machine

from napari_nucbudget.core.resample import grid_length
from napari_nucbudget.infer.slide import iter_slide
from napari_nucbudget.io.images import open_image
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.models.runtimes import prepare
from napari_nucbudget.types.progress import result_of

PAPERS = 107_250 * 103_168
"""Pixels of the paper's slide."""
GPU = torch.device("cuda")


def milliseconds(work: Callable[[], Any], *, rounds: int = 20) -> float:
    """Median of the GPU's own clock."""
    for _ in range(5):
        work()
    event: Any = torch.cuda.Event
    times: list[float] = []
    for _ in range(rounds):
        begin, end = event(enable_timing=True), event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def ceilings() -> dict[str, float]:
    """What the GPU reaches in large products, copies, and pixels from the host."""
    found = {}
    for dtype in (torch.float16, torch.float32):
        a = torch.randn(8192, 8192, device=GPU, dtype=dtype)
        name = f"{str(dtype).removeprefix('torch.')} product, TFLOP/s"
        found[name] = 2 * 8192**3 / milliseconds(partial(torch.matmul, a, a)) / 1e9
    a = torch.empty(1 << 30, device=GPU, dtype=torch.uint8)
    b, host = torch.empty_like(a), torch.empty(1 << 28, dtype=torch.uint8).pin_memory()
    found["memory read and written, GB/s"] = 2 * a.numel() / milliseconds(lambda: b.copy_(a)) / 1e6
    up = milliseconds(lambda: a[: host.numel()].copy_(host, non_blocking=True))
    found["from page-locked memory, GB/s"] = host.numel() / up / 1e6
    return found


def runtimes(peak: float) -> list[dict[str, Any]]:
    """Each detector on a tile as a slide run reads it."""
    rows = []
    for name, flop in FLOP.items():
        detector = load_detector(name, device="cuda")
        side = tile_side(detector)
        x = torch.randn(1, 3, side, side, device=GPU)
        x = x.contiguous(memory_format=torch.channels_last)
        kinds = [("eager", None), ("cuda", torch.bfloat16), ("cuda", torch.float16)]
        for runtime, dtype in kinds:
            forward = prepare(detector.network, GPU, dtype, runtime)
            with torch.inference_mode():
                ms = milliseconds(partial(forward, x))
            rate = side * side / ms / 1e3
            precision = str(dtype or "float32").removeprefix("torch.")
            rows.append(
                {
                    "what": f"{name}, {runtime}, {precision}",
                    "tile": side,
                    "MPix/s": rate,
                    "share of the peak in float16": rate * 1e6 * flop / peak / 1e12,
                }
            )
            print(rows[-1], flush=True)
    return rows


class Watch:
    """Where the threads of a run are, looked at every 20 ms."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            names = {t.ident: t.name.rsplit("_", 1)[0] for t in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident == self._thread.ident:
                    continue
                code = frame.f_code
                self.seen[f"{names.get(ident)}: {Path(code.co_filename).name} {code.co_name}"] += 1


def slide(path: Path, name: str, runs: int) -> dict[str, Any]:
    """File to table, decoding and writing included; the first run warms up."""
    detector = load_detector(name, device="cuda").with_runtime("cuda")
    seconds, processor, shares = [], [], []
    for _ in range(runs + 1):
        with tempfile.TemporaryDirectory() as folder:
            spent, started = time.process_time(), time.perf_counter()
            with Watch() as watch:
                result = result_of(iter_slide(path, detector, out=Path(folder) / "run"))
            seconds.append(time.perf_counter() - started)
            processor.append(time.process_time() - spent)
            shares = watch.seen.most_common(12)
    height, width = open_image(path).shape
    step = detector.card.input.mpp / result.mpp
    model = grid_length(height, step) * grid_length(width, step)
    took = statistics.median(seconds[1:])
    row = {
        "what": name,
        "pixels": height * width,
        "nuclei": result.table.nuclei,
        "seconds": took,
        "all runs": seconds,
        "processor seconds": statistics.median(processor[1:]),
        "MPix/s of the file": height * width / took / 1e6,
        "MPix/s of the model": model / took / 1e6,
        "the paper's slide, computed, s": took * PAPERS / (height * width),
        "threads seen": shares,
    }
    print(json.dumps(row, indent=1), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("There is no NVIDIA GPU here that torch can use.")
    limits = ceilings()
    print(limits, flush=True)
    record = {
        "name": "gpu",
        "machine": {**machine(), "gpu": torch.cuda.get_device_name()},
        "ceilings": limits,
        "runtimes": runtimes(limits["float16 product, TFLOP/s"]),
        "slides": [slide(given.slide, name, given.runs) for name in FLOP],
    }
    MEASURED.mkdir(parents=True, exist_ok=True)
    (MEASURED / "gpu.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
