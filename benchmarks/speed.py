"""Times the parts that a user waits for, on this machine: ``make bench``.

Each figure is the median of a few repeats after one that does not count. Nothing is
compared with a stored figure: machines differ.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from napari_nucbudget.core.matching import match
from napari_nucbudget.core.proximity import local_maxima, proximity_map
from napari_nucbudget.infer.detect import detect
from napari_nucbudget.models.bundle import Detector, build_network
from napari_nucbudget.types.card import InputSpec, ModelCard
from napari_nucbudget.types.image import ArraySource


def median_time_s(work: Callable[[], object], repeats: int) -> float:
    """Median wall time of `work` over `repeats` runs, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def table_1(device: str) -> Detector:
    """Table 1 with untrained weights: what it computes costs the same."""
    network = build_network("fcn", {})
    card = ModelCard(
        name="untrained",
        task="detection",
        architecture="fcn",
        input=InputSpec(mpp=0.55, mean=(0.5,) * 3, std=(0.2,) * 3, receptive_field=31),
        threshold=0.3,
        min_distance_um=2.75,
        smoothing_px=1.0,
    )
    return Detector.from_network(card, network, device=device)


def time_detection(device: str, side: int, repeats: int) -> float:
    """Seconds for a square image at the model's own pixel size, tiles of 512."""
    rng = np.random.default_rng(0)
    source = ArraySource(rng.integers(0, 256, (side, side, 3), dtype=np.uint8), mpp=0.55)
    detector = table_1(device)
    return median_time_s(lambda: detect(source, detector), repeats)


def time_training_step(device: str, stride: int, repeats: int) -> float:
    """Seconds for a step of two 250 x 250 crops, loss on every `stride`-th pixel, float32."""
    network = build_network("fcn", {"batch_norm": True}).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters())
    x = torch.randn(2, 3, 250, 250, device=device).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimiser.zero_grad()
        loss = network(x, stride=stride).square().mean()
        loss.backward()
        optimiser.step()
        loss.item()

    return median_time_s(step, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", type=int, default=1024, help="of the image, pixels")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, device {given.device}"
    )
    mpx = given.side**2 / 1e6
    seconds = time_detection(given.device, given.side, given.repeats)
    print(f"detection          {seconds / mpx:8.2f} s per million pixels")
    for stride in (1, 3):
        seconds = time_training_step(given.device, stride, given.repeats)
        print(f"training, stride {stride} {seconds:8.2f} s per step of 2 x 250 x 250")

    rng = np.random.default_rng(0)
    dots = rng.uniform(0, given.side, (int(given.side**2 / 850), 2))
    shape = (given.side, given.side)
    values = proximity_map(dots, shape, alpha=3.0, d_max=8.0)
    seconds = median_time_s(
        lambda: local_maxima(values, min_distance=5.0, threshold=0.05), given.repeats
    )
    print(f"peaks              {seconds / mpx:8.3f} s per million pixels")
    near = dots + rng.normal(0, 2, dots.shape)
    seconds = median_time_s(lambda: match(near, dots, radius=6.0), given.repeats)
    print(f"matching           {seconds / len(dots) * 1e3:8.3f} s per thousand nuclei")


if __name__ == "__main__":
    main()
