"""Ways to compute the same network: one a file, listed here.

An *exact* runtime agrees with torch's own forward pass in float32 to 1e-5 of the
largest value; a reduced one computes in bfloat16 or float16, and finds the same nuclei
but for about one in a thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.registry import Registry

if TYPE_CHECKING:
    import torch

    from napari_nucbudget.nets.in_bands import BandForward

__all__ = [
    "RUNTIMES",
    "Banded",
    "Forward",
    "Runtime",
    "plain_runtime",
    "prepare",
    "why_not",
    "with_bands",
]

Forward = Callable[["torch.Tensor"], "torch.Tensor"]

RUNTIMES = Registry(
    "runtime",
    {
        "eager": "napari_nucbudget.models.runtimes.eager:EAGER",
        "dft": "napari_nucbudget.models.runtimes.dft:DFT",
        "dft-bf16": "napari_nucbudget.models.runtimes.dft:DFT_BF16",
        "fft": "napari_nucbudget.models.runtimes.fft:FFT",
        "fft-bf16": "napari_nucbudget.models.runtimes.fft:FFT_BF16",
        "openvino": "napari_nucbudget.models.runtimes.openvino:OPENVINO",
        "bfloat16": "napari_nucbudget.models.runtimes.bfloat16:BFLOAT16",
        "openvino-bf16": "napari_nucbudget.models.runtimes.openvino_bf16:OPENVINO_BF16",
        "cuda": "napari_nucbudget.models.runtimes.cuda:CUDA",
        "mps": "napari_nucbudget.models.runtimes.mps:MPS",
    },
)
"""Each is a `Runtime`."""


def _nothing() -> None:
    return None


def _none(network: torch.nn.Module) -> None:
    return None


@dataclass(frozen=True)
class Runtime:
    """A way to compute networks.

    Attributes
    ----------
    exact : bool
        Whether it keeps float32, where the network is asked for in float32.
    devices : tuple of str
        Kinds of device that it computes on.
    prepare : callable
        ``(network, device, dtype)`` to a `Forward`; dtype is the reduced type that was
        asked for, or None. The network is in evaluation mode and on the device.
    missing : callable
        Why this machine cannot use it and what to do about it, in words; None where it can.
    refuses : callable
        Why it does not compute a network, in words; None where it does.
    """

    exact: bool
    devices: tuple[str, ...]
    prepare: Callable[[Any, torch.device, torch.dtype | None], Forward]
    missing: Callable[[], str | None] = _nothing
    refuses: Callable[[torch.nn.Module], str | None] = _none


def why_not(name: str, network: torch.nn.Module, device: torch.device) -> str | None:
    """Why a runtime cannot compute a network on a device of this machine; None where it can.

    Raises
    ------
    UnknownNameError
        For an unknown name; near misses are listed.
    """
    runtime: Runtime = RUNTIMES[name]
    if device.type not in runtime.devices:
        return (
            f"it computes on {' or '.join(runtime.devices)}, not on {device.type}; choose another "
            "device, or the runtime auto"
        )
    return runtime.missing() or runtime.refuses(network)


def plain_runtime(network: torch.nn.Module, device: torch.device, *, reduced: bool) -> str:
    """The runtime that is taken without measuring: the same on every machine.

    ``dft`` where it computes the network in full precision on a processor, else
    ``eager``; neither needs more than torch.
    """
    return "eager" if reduced or why_not("dft", network, device) else "dft"


@dataclass(frozen=True)
class Banded:
    """A `Forward` that can also be given the rows of one image in bands, from the top.

    Attributes
    ----------
    whole : Forward
    rows : int
        Rows of a band at least, but for the last; a multiple of the network's alignment.
    begin : callable
        Gives a `BandForward` for one image.
    """

    whole: Forward
    rows: int
    begin: Callable[[], BandForward]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.whole(x)


def with_bands(network: Any) -> Forward:
    """The network's forward pass, and its way in bands where it has one: on a processor."""
    if not hasattr(network, "bands") or network.bands() is None:
        return network  # type: ignore[no-any-return]
    return Banded(network, network.band_rows, network.bands)


def prepare(
    network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None, name: str
) -> Forward:
    """The network as a function of pixels, by the runtime of that name.

    It takes what the network takes, in the type of its weights and on its device, and
    gives the same shape on any device, in that type or a reduced one.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on `device`.
    device : torch.device
    dtype : torch.dtype, optional
        bfloat16 or float16 where the precision is to be reduced.
    name : str
        A name in `RUNTIMES`.

    Raises
    ------
    UnknownNameError
        For an unknown name; near misses are listed.
    ConfigError
        Where that runtime cannot be used here, or does not compute this network.
    """
    reason = why_not(name, network, device)
    if reason is not None:
        raise ConfigError(f"The runtime {name!r} cannot be used here: {reason}.")
    forward: Forward = RUNTIMES[name].prepare(network, device, dtype)
    return forward
