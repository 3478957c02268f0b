"""Times every runtime that can be used here, in turn in one process, against plain torch."""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from napari_nucbudget.models.library import load_classifier, load_detector
from napari_nucbudget.models.runtimes import RUNTIMES, prepare, why_not

EAGER = "eager float32"


def in_turn(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, A B C A B C, after one run each that does not count."""
    times: dict[str, list[float]] = {name: [] for name in work}
    with torch.inference_mode():
        for run in work.values():
            run()
        for _ in range(rounds):
            for name, run in work.items():
                started = time.process_time()
                run()
                times[name].append(time.process_time() - started)
    return times


def rows_of(what: str, times: dict[str, list[float]], amount: float, unit: str) -> list[Any]:
    """Ratios of paired rounds to the baseline: median, lowest, highest."""
    rows = []
    for name, own in times.items():
        ratios = [a / b for a, b in zip(own, times[EAGER], strict=True)]
        rows.append(
            {
                "what": f"{what}, {name}",
                "baseline": f"{what}, {EAGER}",
                "ratio": statistics.median(ratios),
                "low": min(ratios),
                "high": max(ratios),
                "unit_value": amount / statistics.median(own),
                "unit": unit,
            }
        )
    return rows


def detection(model: str, side: int, rounds: int) -> list[Any]:
    network = load_detector(model, device="cpu").network
    x = torch.randn(1, 3, side, side)
    last = x.contiguous(memory_format=torch.channels_last)
    plain: Any = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    work: dict[str, Callable[[], object]] = {EAGER: lambda: plain(x)}
    for name in _usable(network):
        forward = prepare(network, torch.device("cpu"), None, name)
        work[name] = lambda forward=forward: forward(last)  # type: ignore[misc]
    return rows_of(model, in_turn(work, rounds), side * side / 1e6, "MPix per CPU second")


def classification(model: str, rounds: int) -> list[Any]:
    """A batch of 128 patches, all turns and shifts averaged, the logits alone."""
    classifier = load_classifier(model, device="cpu")
    views = classifier.views
    x = torch.randn(128, 3, views.patch, views.patch)
    last = x.contiguous(memory_format=torch.channels_last)
    plain: Any = copy.deepcopy(views).to(memory_format=torch.contiguous_format)
    work: dict[str, Callable[[], object]] = {EAGER: lambda: plain(x)}
    for name in _usable(views):
        forward = prepare(views, torch.device("cpu"), None, name)
        work[name] = lambda forward=forward: forward(last)  # type: ignore[misc]
    times = in_turn(work, rounds)
    return rows_of(model, times, 128 / 8, "nuclei per CPU second, eight turns each")


def _usable(network: torch.nn.Module) -> list[str]:
    return [name for name in RUNTIMES if why_not(name, network, torch.device("cpu")) is None]


def machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", action="append", help="default nuclei-fcn")
    parser.add_argument("--classifier", default="colon-patch-cnn")
    parser.add_argument("--side", type=int, default=512, help="of the tile, pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for model in given.detector or ["nuclei-fcn"]:
        rows += detection(model, given.side, given.rounds)
    rows += classification(given.classifier, given.rounds)
    here = machine()
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    print("\n| what | time of eager float32 | lowest to highest | rate |\n|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['what']} | {row['ratio']:.3f} | {row['low']:.3f} to {row['high']:.3f} "
            f"| {row['unit_value']:.3g} {row['unit']} |"
        )
    if given.json:
        given.json.write_text(
            json.dumps({"name": "runtimes", "machine": here, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
