"""What a classifier of windows learns from: nuclei in them, first to find and then to type."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_nucbudget.learn.window_data import WINDOW, WindowBatch, WindowData
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["WindowExamples"]

NUCLEI_A_WINDOW = 20
"""One window for so many of `TrainConfig.batch_size`."""
SPREAD = 3.0
"""Standard deviation of the hill at each nucleus that is to be found, model pixels."""
HILL_WEIGHT = 10.0
"""How much more than background its top counts."""
FIND_SCALE = 4.0
"""Factor of that loss: its gradients are then about as large as those of types."""
FAR = 1e4


class WindowExamples:
    """Windows of the training images, and the losses of a `WindowCnn` on them."""

    def __init__(self, labels: LabelSet, config: TrainConfig, stain: StainReference | None) -> None:
        self._data = WindowData(
            labels,
            mpp=config.mpp,
            stain=stain,
            stain_jitter=config.stain_jitter,
            brightness_jitter=config.brightness_jitter,
            balance=config.balance,
        )
        self._windows = max(1, round(config.batch_size / NUCLEI_A_WINDOW))

    @property
    def label(self) -> NDArray[np.int64]:
        """(N,) classes of the labelled nuclei."""
        return self._data.label[self._data.known]

    def batch(self, rng: np.random.Generator, *, finding: bool) -> WindowBatch:
        """Windows around labelled nuclei; anywhere in any image to learn finding."""
        return self._data.draw(rng, self._windows, anywhere=finding)

    def loss(
        self,
        network: torch.nn.Module,
        batch: WindowBatch,
        device: torch.device,
        normalised: Any,
        *,
        finding: bool,
    ) -> dict[str, Tensor]:
        """Cross entropy of the labelled nuclei, or what `finding` costs.

        `normalised` makes (W, 3, h, w) of (W, h, w, 3) pixels in 0 .. 255.
        """
        x = self._input(batch, device, normalised)
        if finding:
            cost = self._finding(cast(Any, network), x, batch)
            return {"total": cost, "finding": cost.detach()}
        known = batch.label >= 0
        window, yx = _on(device, batch.window[known], batch.yx[known])
        logits = network(x, window, yx)
        (label,) = _on(device, batch.label[known])
        supervised = F.cross_entropy(logits.float(), label)
        return {"total": supervised, "supervised": supervised.detach()}

    def _finding(self, network: Any, x: Tensor, batch: WindowBatch) -> Tensor:
        """Squared error of a hill at each dot; more is asked where the hill is high."""
        with torch.autocast(x.device.type, enabled=False):
            wanted = hills(batch, len(x), x.device)
        found = torch.sigmoid(network.find(network.maps(x))[:, 0].float())
        weight = 1 + HILL_WEIGHT * wanted
        return FIND_SCALE * (weight * (found - wanted).square()).mean()

    def features(
        self, network: Any, device: torch.device, normalised: Any, rng: np.random.Generator
    ) -> Tensor:
        """(N, F) features of all labelled nuclei, one augmented look at each."""
        data, todo = self._data, self._data.known
        found: Tensor | None = None
        while len(todo):
            batch = data.draw_around(todo, rng, self._windows)
            rows, seen = np.unique(batch.row, return_index=True)
            x = self._input(batch, device, normalised)
            window, yx, place = _on(device, batch.window[seen], batch.yx[seen], rows)
            size = (x.shape[2], x.shape[3])
            values = network.features(network.packed(x), size, window, yx).float()
            if found is None:
                found = values.new_zeros(len(data.label), values.shape[1])
            found[place] = values
            todo = np.setdiff1d(todo, rows)
        assert found is not None
        return found[torch.from_numpy(data.known).to(device)]

    def _input(self, batch: WindowBatch, device: torch.device, normalised: Any) -> Tensor:
        with torch.autocast(device.type, enabled=False):
            x: Tensor = normalised(self._data.pixels(batch, device))
        return x.contiguous(memory_format=torch.channels_last)


def hills(batch: WindowBatch, windows: int, device: torch.device) -> Tensor:
    """(W, 64, 64): 1 at each nucleus, falling off like a Gaussian, at a quarter of the resolution.

    Where hills meet the higher one counts.
    """
    counts = np.bincount(batch.window, minlength=windows)
    place = np.full((windows, max(1, counts.max()), 2), -FAR, np.float32)
    row = np.arange(len(batch.window)) - np.repeat(np.cumsum(counts) - counts, counts)
    place[batch.window, row] = batch.yx
    (yx,) = _on(device, place)
    grid = torch.arange(WINDOW // 4, device=device) * 4 + 1.5
    down = (grid[:, None] - yx[:, None, :, 0]).square()
    right = (grid[:, None] - yx[:, None, :, 1]).square()
    nearest = (down[:, :, None] + right[:, None]).amin(dim=3)
    return torch.exp(-nearest / (2 * SPREAD**2))


def _on(device: torch.device, *arrays: NDArray[Any]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array).to(device) for array in arrays)
