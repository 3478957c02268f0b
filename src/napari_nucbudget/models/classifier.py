"""Network, card and weights together: a classifier that can be asked for probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ModelError
from napari_nucbudget.models.device import choose_device
from napari_nucbudget.models.runtimes import Forward, prepare
from napari_nucbudget.models.storage import read_model, write_model
from napari_nucbudget.types.card import ModelCard
from napari_nucbudget.types.classes import ClassScheme

if TYPE_CHECKING:
    import torch

    from napari_nucbudget.models.runtimes.choice import Choice

__all__ = ["BATCH", "SHIFT", "Classifier"]

BATCH = 128
"""Patches at once; more of them leave the cache."""
SHIFT = 2
"""Pixels by which patches are shifted for averaging."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """Types nuclei from patches around them; `runtime` is a name in `RUNTIMES`, None is eager."""

    card: ModelCard
    network: torch.nn.Module
    device: torch.device
    runtime: str | None = None

    @cached_property
    def views(self) -> Any:
        """What runtimes compute: (N, 3, p + 4, p + 4) to the logits of all shifts."""
        return _views_of(self.network)

    @cached_property
    def _shifted(self) -> Forward:
        return prepare(self.views, self.device, None, self.runtime_name)

    @property
    def runtime_name(self) -> str:
        """Name of the runtime that computes averaged probabilities."""
        return self.runtime or "eager"

    def choose(self, runtime: str) -> Choice:
        """The runtime of that name, or the one that ``auto`` or ``fast`` finds here.

        Nothing changes: `with_runtime` takes the name.

        Raises
        ------
        UnknownNameError, ConfigError
            See `choose_runtime`.
        """
        import torch

        from napari_nucbudget.models.runtimes.choice import choose_runtime

        side = self.patch + 2 * SHIFT
        return choose_runtime(
            runtime,
            self.views,
            self.device,
            None,
            torch.zeros(BATCH, 3, side, side, device=self.device),
            label=f"{self.card.architecture} {self.card.arguments}",
        )

    def with_runtime(self, name: str | None) -> Classifier:
        """The same classifier, computed by the runtime of that name."""
        return replace(self, runtime=name)

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

        out = np.zeros((len(patches), len(self.card.classes)), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(patches), BATCH):
                x = self._input(patches[start : start + BATCH])
                out[start : start + BATCH] = self.network(x).float().cpu().numpy()
        return out

    def probabilities(self, wide: NDArray[Any], *, average: bool = True) -> NDArray[np.float32]:
        """Calibrated class probabilities of nuclei.

        Parameters
        ----------
        wide : (N, patch + 4, patch + 4, 3) uint8 or floats, 0 .. 255
            Patches with a margin of 2 pixels, the nucleus in the middle.
        average : bool
            Average over the eight turns and mirrorings and the shifts that the
            network offers (patch-cnn: five of 0 or 2 pixels, the
            neighbouring-ensemble idea of Sirinukunwattana et al. 2016;
            context-cnn: none), else look once. Networks that no turn
            changes look once anyhow.

        Returns
        -------
        (N, C) float32, rows add up to 1

        Raises
        ------
        ModelError
            Where the network gives values that are not numbers.
        """
        import torch

        out = np.zeros((len(wide), len(self.card.classes)), dtype=np.float32)
        temperature = float(self.card.temperature or 1.0)
        network: Any = self.network
        with torch.inference_mode():
            for start in range(0, len(wide), BATCH):
                x = self._input(wide[start : start + BATCH])
                if average:
                    views = [x] if network.invariant else _dihedral(x)
                    logits = torch.cat([self._shifted(view) for view in views])
                else:
                    logits = network(x[:, :, SHIFT:-SHIFT, SHIFT:-SHIFT])[None]
                prob = (logits.double() / temperature).softmax(dim=2).mean(dim=0)
                out[start : start + BATCH] = prob.float().cpu().numpy()
        if not np.isfinite(out).all():
            raise ModelError(
                f"The model {self.card.name!r} gives values that are not numbers; choose the "
                "runtime eager, or another model."
            )
        return out

    def _input(self, pixels: NDArray[Any]) -> torch.Tensor:
        """(N, 3, h, w) normalised, of (N, h, w, 3) in 0 .. 255, channels last in memory."""
        import torch

        spec = self.card.input
        x = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).float()
        mean = torch.tensor(spec.mean, device=self.device)
        std = torch.tensor(spec.std, device=self.device)
        return ((x / 255.0 - mean) / std).permute(0, 3, 1, 2)

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


def _dihedral(x: torch.Tensor) -> Iterator[torch.Tensor]:
    """The eight turns and mirrorings of (N, C, h, h)."""
    import torch

    for turn in range(4):
        turned = torch.rot90(x, turn, (2, 3))
        for view in (turned, turned.flip(3)):
            yield view.contiguous(memory_format=torch.channels_last)


def _views_of(network: torch.nn.Module) -> torch.nn.Module:
    """A module whose forward pass is the network's `shifted`: what runtimes compute."""
    import torch

    class Views(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            given: Any = network
            self.network = given
            self.patch = given.patch + 2 * SHIFT
            self.invariant = given.invariant

        @property
        def head(self) -> torch.nn.Module:
            given: Any = self.network
            layer: torch.nn.Module = given.head
            return layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given: Any = self.network
            logits: torch.Tensor = given.shifted(x)
            return logits

    return Views().eval()
