"""Network, card and weights together: a classifier that can be asked for probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ModelError
from napari_nucbudget.models.device import choose_device
from napari_nucbudget.models.storage import read_model, write_model
from napari_nucbudget.types.card import ModelCard
from napari_nucbudget.types.classes import ClassScheme

if TYPE_CHECKING:
    import torch

__all__ = ["BATCH", "SHIFT", "Classifier"]

BATCH = 128
"""Patches at once; more of them leave the cache."""
SHIFT = 2
"""Pixels by which patches are shifted for averaging."""
SHIFTS = ((0, 0), (-SHIFT, 0), (SHIFT, 0), (0, -SHIFT), (0, SHIFT))


@dataclass(frozen=True, eq=False)
class Classifier:
    """Types nuclei from patches around them."""

    card: ModelCard
    network: torch.nn.Module
    device: torch.device

    @property
    def classes(self) -> ClassScheme:
        return self.card.scheme

    @property
    def patch(self) -> int:
        """Side of the patches that the network takes, model pixels."""
        if self.card.input.patch is None:
            raise ModelError(f"The card of {self.card.name} does not give the patch size.")
        return self.card.input.patch

    def logits(self, patches: NDArray[Any]) -> NDArray[np.float32]:
        """(N, C) logits of (N, patch, patch, 3) pixels in 0 .. 255."""
        import torch

        spec = self.card.input
        out = np.zeros((len(patches), len(self.card.classes)), dtype=np.float32)
        mean = torch.tensor(spec.mean, device=self.device)
        std = torch.tensor(spec.std, device=self.device)
        with torch.inference_mode():
            for start in range(0, len(patches), BATCH):
                part = torch.from_numpy(np.ascontiguousarray(patches[start : start + BATCH])).to(
                    self.device
                )
                x = ((part.float() / 255.0 - mean) / std).permute(0, 3, 1, 2)
                out[start : start + BATCH] = self.network(x).float().cpu().numpy()
        return out

    def probabilities(self, wide: NDArray[Any], *, average: bool = True) -> NDArray[np.float32]:
        """Calibrated class probabilities of nuclei.

        Parameters
        ----------
        wide : (N, patch + 4, patch + 4, 3) uint8 or floats, 0 .. 255
            Patches with a margin of 2 pixels, the nucleus in the middle.
        average : bool
            Average over the eight turns and mirrorings and five shifts of 0 or
            2 pixels (the neighbouring-ensemble idea of Sirinukunwattana et al.
            2016), else look once.

        Returns
        -------
        (N, C) float32, rows add up to 1
        """
        views = list(_views(wide, self.patch)) if average else [_cut(wide, self.patch, 0, 0)]
        total = np.zeros((len(wide), len(self.card.classes)), dtype=np.float64)
        temperature = float(self.card.temperature or 1.0)
        for view in views:
            scaled = self.logits(view).astype(np.float64) / temperature
            scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
            total += scaled / scaled.sum(axis=1, keepdims=True)
        return (total / len(views)).astype(np.float32)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write card and weights, see `storage.write_model`."""
        return write_model(folder, self.card, self.network, overwrite=overwrite)

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "auto") -> Classifier:
        """Classifier of a model folder; raises as `storage.read_model` does."""
        card, network = read_model(folder, task="classification")
        return cls.from_network(card, network, device=device)

    @classmethod
    def from_network(
        cls, card: ModelCard, network: torch.nn.Module, *, device: str = "auto"
    ) -> Classifier:
        """Classifier around a network in memory, put into evaluation mode."""
        chosen = choose_device(device)
        return cls(card=card, network=network.to(chosen).eval(), device=chosen)


def _cut(wide: NDArray[Any], patch: int, dy: int, dx: int) -> NDArray[Any]:
    margin = (wide.shape[1] - patch) // 2
    y, x = margin + dy, margin + dx
    return np.ascontiguousarray(wide[:, y : y + patch, x : x + patch])


def _views(wide: NDArray[Any], patch: int) -> Iterator[NDArray[Any]]:
    for dy, dx in SHIFTS:
        view = _cut(wide, patch, dy, dx)
        for turn in range(4):
            turned = np.rot90(view, turn, axes=(1, 2))
            yield np.ascontiguousarray(turned)
            yield np.ascontiguousarray(turned[:, :, ::-1])
