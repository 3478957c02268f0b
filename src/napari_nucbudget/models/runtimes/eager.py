"""The network as torch runs it by itself."""

from __future__ import annotations

import torch

from napari_nucbudget.models.runtimes import Forward

__all__ = ["prepare"]


def prepare(network: torch.nn.Module) -> Forward:
    """The network's own forward pass."""
    return network
