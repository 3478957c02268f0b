"""Which runtime is taken: by name, or by a short measurement that is kept."""

from __future__ import annotations

import json
import logging
import math
import platform
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from napari_nucbudget.errors import ConfigError, NucbudgetError, UnknownNameError
from napari_nucbudget.io.downloads import cache_folder
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.models.device import is_out_of_memory
from napari_nucbudget.models.runtimes import RUNTIMES, prepare, why_not
from napari_nucbudget.models.runtimes.amx import has_amx
from napari_nucbudget.registry import near_misses

__all__ = ["BY_MEASUREMENT", "Choice", "choose_runtime"]

log = logging.getLogger(__name__)

BY_MEASUREMENT = ("auto", "fast")
"""Names that are no runtime: the fastest exact one, and the fastest of all."""
FILE = "runtimes.json"
SECONDS = 2.0
"""What measuring takes at most, all runtimes together, unless two turns of each take longer;
preparing them comes on top."""
ROUNDS = 3
SMALLEST = 96
"""Side of the smallest tile that says something about large ones."""


@dataclass(frozen=True)
class Choice:
    """A runtime, and why.

    Attributes
    ----------
    name : str
    exact : bool
    speed : float or None
        How many times faster than ``eager`` it was; None where nothing was measured.
    measured : bool
        Whether this call measured, or an earlier one.
    """

    name: str
    exact: bool
    speed: float | None = None
    measured: bool = False

    def __str__(self) -> str:
        text = f"runtime {self.name} ({'exact' if self.exact else 'reduced precision'})"
        if self.speed is not None and self.name != "eager":
            text += f", {self.speed:.1f}x eager"
        return text + (", measured now" if self.measured else "")


def choose_runtime(
    name: str,
    network: torch.nn.Module,
    device: torch.device,
    dtype: torch.dtype | None,
    example: torch.Tensor,
    *,
    label: str,
) -> Choice:
    """The runtime of that name, checked; ``auto`` and ``fast`` are measured.

    ``auto`` is the fastest that keeps the precision that is asked for: exact in
    float32, any in a reduced type. ``fast`` is the fastest of all. What was measured is
    kept in the user's cache folder by processor, device, versions, network, precision
    and the runtimes that can be used; as long as none of them changes, the choice does
    not either. Where memory ran out meanwhile, it is measured again the next time.

    Parameters
    ----------
    name : str
        ``auto``, ``fast``, or a name in `RUNTIMES`.
    network : torch.nn.Module
        In evaluation mode, on `device`.
    device : torch.device
    dtype : torch.dtype, optional
        Reduced type that is asked for; None for float32.
    example : torch.Tensor
        An input of the usual size on the device.
    label : str
        Architecture and what else its speed depends on.

    Raises
    ------
    UnknownNameError
        For another name; near misses are listed.
    ConfigError
        Where a runtime that is named cannot be used here.
    """
    if name not in BY_MEASUREMENT:
        if name not in RUNTIMES:
            known = [*BY_MEASUREMENT, *RUNTIMES]
            raise UnknownNameError(
                f"There is no runtime named {name!r}. {near_misses(name, known)}"
            )
        reason = why_not(name, network, device)
        if reason is not None:
            raise ConfigError(f"The runtime {name!r} cannot be used here: {reason}.")
        return Choice(name, _exact(name, dtype))
    usable = [
        runtime
        for runtime in RUNTIMES
        if why_not(runtime, network, device) is None
        and (RUNTIMES[runtime].exact or name == "fast" or dtype is not None)
    ]
    if len(usable) == 1:
        return Choice(usable[0], _exact(usable[0], dtype))
    key = _key(label, device, dtype, usable)
    path = cache_folder() / FILE
    known_times = _read(path)
    seconds = known_times.get(key)
    measured = not _fits(seconds, usable)
    if measured:
        if seconds is not None:
            log.warning("An entry of %s is damaged; runtimes are measured anew.", path)
        seconds, lasting = _measure(usable, network, device, dtype, example)
        if lasting:
            _write(path, {**known_times, key: seconds})
    assert seconds is not None
    fastest = min(seconds, key=lambda runtime: seconds[runtime])
    speed = seconds["eager"] / seconds[fastest]
    return Choice(fastest, _exact(fastest, dtype), speed, measured)


def _exact(name: str, dtype: torch.dtype | None) -> bool:
    return bool(RUNTIMES[name].exact) and (dtype is None or name != "eager")


def _measure(
    usable: list[str],
    network: torch.nn.Module,
    device: torch.device,
    dtype: torch.dtype | None,
    example: torch.Tensor,
) -> tuple[dict[str, float], bool]:
    """Median seconds of each runtime on the same input, in turn; and whether they will last."""
    share = SECONDS / (len(usable) * (ROUNDS + 1))
    x = _cut(example, network, device, dtype, share)
    forwards: dict[str, Any] = {}
    times: dict[str, list[float]] = {}
    spent, lasting = 0.0, True
    for name in usable:
        try:
            forwards[name] = prepare(network, device, dtype, name)
            spent += _timed(forwards[name], x, device)  # warms up
        except (NucbudgetError, RuntimeError, ImportError, OSError, MemoryError) as error:
            if name == "eager":
                raise
            log.warning("The runtime %s fails here (%s) and is left out.", name, error)
            forwards.pop(name, None)
            lasting &= not is_out_of_memory(error)
        else:
            times[name] = []
    for turn in range(ROUNDS):
        if turn and spent > SECONDS:
            break
        for name, forward in forwards.items():
            times[name].append(_timed(forward, x, device))
            spent += times[name][-1]
    return {name: statistics.median(values) for name, values in times.items()}, lasting


def _cut(
    example: torch.Tensor,
    network: torch.nn.Module,
    device: torch.device,
    dtype: torch.dtype | None,
    share: float,
) -> torch.Tensor:
    """As much of the input as ``eager`` computes in `share` seconds."""
    if hasattr(network, "patch"):
        return example
    eager = prepare(network, device, dtype, "eager")
    side = min(SMALLEST, *example.shape[-2:])
    probe = example[:, :, :side, :side]
    _timed(eager, probe, device)
    seconds = max(_timed(eager, probe, device), 1e-6)
    largest = int(side * (share / seconds) ** 0.5)
    side = max(side, min(largest, *example.shape[-2:]))
    return example[:, :, :side, :side].contiguous(memory_format=torch.channels_last)


def _timed(forward: Any, x: torch.Tensor, device: torch.device) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        forward(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
    return time.perf_counter() - started


def _key(label: str, device: torch.device, dtype: torch.dtype | None, usable: list[str]) -> str:
    parts = [label, _processor(device), f"{torch.get_num_threads()} threads"]
    parts += [f"{package} {_version(package)}" for package in ("napari-nucbudget", "torch")]
    for package, begin in (("openvino", "openvino"), ("llvmlite", "fft")):
        if any(name.startswith(begin) for name in usable):
            parts.append(f"{package} {_version(package)}")
    if "fft-bf16" in usable:  # names of processors do not tell
        parts.append("with AMX" if has_amx() else "without AMX")
    return "; ".join([*parts, str(dtype or "float32").removeprefix("torch."), ", ".join(usable)])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _processor(device: torch.device) -> str:
    """What computes, by name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = next(line.partition(":")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        found = platform.processor() or platform.machine()
    return f"{device.type} {' '.join(found.split())}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be read (%s); runtimes are measured anew.", path, error)
        return {}
    if not isinstance(found, dict):
        log.warning("%s is damaged; runtimes are measured anew.", path)
        return {}
    return found


def _fits(seconds: Any, usable: list[str]) -> bool:
    """Whether what was kept is of these runtimes."""
    return (
        isinstance(seconds, dict)
        and "eager" in seconds
        and set(seconds) <= set(usable)
        and all(isinstance(v, float) and 0 < v < math.inf for v in seconds.values())
    )


def _write(path: Path, times: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(times, indent=1, sort_keys=True).encode())
    except (OSError, NucbudgetError) as error:
        log.warning("%s cannot be written (%s); runtimes are measured every time.", path, error)
