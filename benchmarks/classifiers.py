"""Classifiers with every runtime, in turn, against plain torch: 128 nuclei, all turns and shifts.

Of a classifier that takes windows: one window in one of its turns.

Plain torch is the network as a module gives it: float32, channels first. Writes
``runs/bench/classifiers.json``.
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

import torch
from detectors import Works, inference
from pairs import Row, row, times_in_turn, write

from napari_nucbudget.models.library import load_classifier
from napari_nucbudget.models.runtimes import RUNTIMES, prepare, why_not

CPU = torch.device("cpu")
NUCLEI, TURNS = 128, 8


def runtimes(name: str, rounds: int) -> list[Row]:
    """The averaged logits of a batch."""
    classifier = load_classifier(name, device="cpu")
    views = classifier.views
    count = 1 if classifier.takes_windows else NUCLEI
    x = torch.randn(count, 3, views.patch, views.patch)
    plain: Any = copy.deepcopy(classifier.network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    baseline = f"{name}, plain torch float32"
    whole = plain.maps if classifier.takes_windows else plain.shifted
    works: Works = {baseline: inference(whole, x)}
    last = x.contiguous(memory_format=torch.channels_last)
    for runtime in RUNTIMES:
        if why_not(runtime, views, CPU) is None:
            exact = "exact" if RUNTIMES[runtime].exact else "reduced"
            forward = prepare(views, CPU, None, runtime)
            works[f"{name}, {runtime} ({exact})"] = inference(forward, last)
    times = times_in_turn(works, rounds=rounds)
    unit = f"nuclei per processor second, {TURNS} turns each"
    if classifier.takes_windows:
        unit = f"windows of {classifier.core} px per processor second, {TURNS} turns each"
    return [
        row(times, w, baseline, value=lambda s: count / TURNS / s, unit=unit)
        for w in works
        if w != baseline
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    models = ["colon-patch-cnn", "nuclei-context-cnn"]
    parser.add_argument("--classifier", nargs="+", default=models)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    write("classifiers", [r for name in given.classifier for r in runtimes(name, given.rounds)])


if __name__ == "__main__":
    main()
