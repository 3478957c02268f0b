"""Measuring in turn: A B A B ..., and the ratio of each round, so that load meets both alike."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

__all__ = ["MEASURED", "Row", "machine", "row", "times_in_turn", "write"]

MEASURED = Path(__file__).parents[1] / "runs" / "bench"
PACKAGES = (
    "numpy",
    "scipy",
    "scikit-image",
    "torch",
    "numba",
    "llvmlite",
    "openvino",
    "napari-nucbudget",
)


@dataclass(frozen=True)
class Row:
    """One line of a table: `what` takes `ratio` times as long as `baseline`.

    Attributes
    ----------
    what, baseline : str
    ratio, low, high : float
        Median, least and greatest of the rounds; below 1 is faster than the baseline.
    unit_value : float
        What `what` itself does, median, in `unit`; or takes.
    unit : str
    """

    what: str
    baseline: str
    ratio: float
    low: float
    high: float
    unit_value: float
    unit: str


def times_in_turn(
    works: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    warm: bool = True,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of every work in every round, after one round that does not count if `warm`."""
    for work in works.values() if warm else ():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = clock()
            work()
            times[name].append(clock() - started)
    return times


def row(
    times: Mapping[str, list[float]],
    what: str,
    baseline: str,
    *,
    value: Callable[[float], float],
    unit: str,
) -> Row:
    """The line of `what` against `baseline`; `value` makes its figure of its median seconds."""
    ratios = [a / b for a, b in zip(times[what], times[baseline], strict=True)]
    return Row(
        what, baseline, median(ratios), min(ratios), max(ratios), value(median(times[what])), unit
    )


def machine() -> dict[str, str]:
    """What the figures depend on: processor, cores, versions."""
    import torch

    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "bfloat16": torch.backends.cpu.get_cpu_capability() + _bfloat16(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def _bfloat16() -> str:
    import torch

    probes = {"AMX": "_is_amx_tile_supported", "AVX512-BF16": "_is_avx512_bf16_supported"}
    found = [k for k, v in probes.items() if getattr(torch.cpu, v, bool)()]
    return f", {', '.join(found) or 'no bfloat16'}"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write(name: str, rows: list[Row], *, extra: Mapping[str, Any] | None = None) -> Path:
    """Print the rows and keep them as ``runs/bench/NAME.json``."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    path = MEASURED / f"{name}.json"
    record = {"name": name, "machine": machine(), "rows": [asdict(r) for r in rows]}
    path.write_text(json.dumps({**record, **(extra or {})}, indent=1) + "\n", encoding="utf-8")
    for r in rows:
        print(
            f"{r.what:52} {r.ratio:8.3f} of {r.baseline} [{r.low:.3f} .. {r.high:.3f}]  "
            f"{r.unit_value:.4g} {r.unit}"
        )
    return path


def seeded() -> np.random.Generator:
    """The generator of every benchmark's data."""
    return np.random.default_rng(0)
