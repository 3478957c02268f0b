"""Ways to compute the same network: one a file, listed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_nucbudget.registry import Registry

if TYPE_CHECKING:
    import torch

__all__ = ["RUNTIMES", "Forward", "prepare"]

Forward = Callable[["torch.Tensor"], "torch.Tensor"]

RUNTIMES = Registry(
    "runtime",
    {
        "eager": "napari_nucbudget.models.runtimes.eager:prepare",
        "dft": "napari_nucbudget.models.runtimes.dft:prepare",
    },
)
"""Each takes a network and gives (1, 3, h, w) to (1, 1, h, w)."""


def prepare(network: torch.nn.Module, device: torch.device, *, reduced: bool, name: str) -> Forward:
    """The network as a function of pixels, by the runtime of that name.

    ``auto`` takes ``dft`` for table 1 on a processor in full precision, where
    it is about three times faster and agrees to a few units in the last
    place, else ``eager``.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on `device`.
    device : torch.device
    reduced : bool
        Whether it runs in bfloat16 or float16.
    name : str
        ``auto`` or a name in `RUNTIMES`.
    """
    from napari_nucbudget.nets.fcn_proximity import FcnProximity

    if name == "auto":
        table_1 = isinstance(network, FcnProximity) and not network.config.batch_norm
        name = "dft" if table_1 and device.type == "cpu" and not reduced else "eager"
    forward: Forward = RUNTIMES[name](network)
    return forward
