"""Weights between those of the parent and those that were fine-tuned."""

from __future__ import annotations

import torch

__all__ = ["move_towards"]


@torch.no_grad()
def move_towards(network: torch.nn.Module, parent: torch.nn.Module, share: float) -> None:
    """Give `network` so much of the parent's weights (Wortsman et al. 2022)."""
    for weight, old in zip(network.parameters(), parent.parameters(), strict=True):
        weight.lerp_(old.to(weight), share)
