"""Which device computes, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from napari_nucbudget.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    import torch

__all__ = [
    "DEVICES",
    "autocast",
    "choose_device",
    "choose_precision",
    "is_out_of_memory",
    "tells_out_of_memory",
]

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """Device of that name; ``auto`` takes cuda, else mps, else cpu.

    Raises
    ------
    DeviceError
        Where the device does not exist on this machine.
    """
    import torch

    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    kind = name.partition(":")[0]
    if not there.get(kind, False):
        usable = ", ".join(k for k, usable in there.items() if usable)
        raise DeviceError(f"There is no device {name!r} on this machine; usable: auto, {usable}.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not the name of a device.") from error
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"There is no device {name!r}; this machine has {torch.cuda.device_count()} GPUs."
        )
    return device


def choose_precision(precision: str, device: torch.device, *, training: bool) -> torch.dtype | None:
    """Reduced type for autocast, or None for float32.

    ``auto`` means float16 on CUDA, in training bfloat16 where the GPU has it (from
    Ampere on), whose range gradients need. On a processor it
    means float32 for inference, so that proposals do not depend on the
    machine, and bfloat16 for training where the instruction set has it.

    Raises
    ------
    ConfigError
        For an unknown precision.
    """
    import torch

    reduced = {"bfloat16": torch.bfloat16, "float16": torch.float16}
    if precision == "float32":
        return None
    if precision in reduced:
        return reduced[precision]
    if precision != "auto":
        raise ConfigError(
            f"precision must be auto, float32, bfloat16 or float16, got {precision!r}."
        )
    if device.type == "cuda":
        return torch.bfloat16 if training and torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and training and _cpu_has_bfloat16():
        return torch.bfloat16
    return None


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    import torch

    probe: Any = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Context in which the network runs in `dtype`; does nothing for None."""
    import torch

    if dtype is None:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch's or Python's says that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "OutOfMemoryError" or tells_out_of_memory(str(error))


def tells_out_of_memory(text: str) -> bool:
    """Whether a message, such as the last lines of a process that ended, says so."""
    # cuBLAS and cuDNN, Python, C++ and our own commands have their words for it.
    words = ("out of memory", "not enough memory", "can't allocate", "cannot allocate")
    more = ("alloc_failed", "memoryerror", "bad_alloc", "memory ran out")
    return any(word in text.lower() for word in (*words, *more))
