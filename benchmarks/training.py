"""Training steps of the detector: the recipe against float32 on every pixel. Writes JSON.

A step is two crops of 250 x 250 pixels, forwards, backwards and AdamW.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from pairs import row, times_in_turn, write

from napari_nucbudget.models.bundle import build_network
from napari_nucbudget.models.device import autocast, choose_precision
from napari_nucbudget.types.training import TrainConfig

BASELINE = "eager float32, every pixel"


def stepper(*, stride: int, last: bool, reduced: bool) -> Callable[[], object]:
    """One step; `last`: channels last; `reduced`: in the precision that training chooses."""
    network = build_network("fcn", {"batch_norm": True}).train()
    x = torch.randn(2, 3, 250, 250)
    if last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters())
    device = torch.device("cpu")
    dtype = choose_precision("auto", device, training=True) if reduced else None

    def step() -> None:
        optimiser.zero_grad()
        with autocast(device, dtype):
            loss = network(x, stride=stride).float().square().mean()
        loss.backward()
        optimiser.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    stride = TrainConfig().loss_stride
    works = {
        BASELINE: stepper(stride=1, last=False, reduced=False),
        "channels last": stepper(stride=1, last=True, reduced=False),
        "channels last, chosen precision": stepper(stride=1, last=True, reduced=True),
        f"the recipe: also every {stride}rd row and column": stepper(
            stride=stride, last=True, reduced=True
        ),
    }
    times = times_in_turn(works, rounds=rounds, clock=time.perf_counter)
    unit = f"steps/s, {torch.get_num_threads()} threads"
    write("training", [row(times, w, BASELINE, value=lambda s: 1 / s, unit=unit) for w in works])


if __name__ == "__main__":
    main()
