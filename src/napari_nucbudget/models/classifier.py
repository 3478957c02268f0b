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
    """Types nuclei from patches around them, or all in a window; `runtime` is a name in `RUNTIMES`.

    Without one it is computed by ``eager``.
    """

    card: ModelCard
    network: torch.nn.Module
    device: torch.device
    runtime: str | None = None

    @cached_property
    def views(self) -> Any:
        """What runtimes compute: (N, 3, p + 4, p + 4) to the logits of all shifts.

        Of a network that takes windows: (N, 3, p, p) to its packed levels.
        """
        return _views_of(self.network)

    @cached_property
    def _computed(self) -> Forward:
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

        count, side = (1, self.patch) if self.takes_windows else (BATCH, self.patch + 2 * SHIFT)
        return choose_runtime(
            runtime,
            self.views,
            self.device,
            None,
            torch.zeros(count, 3, side, side, device=self.device),
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

    @property
    def takes_windows(self) -> bool:
        """Whether it types nuclei anywhere in a window (`in_window`), and not patches."""
        return bool(getattr(self.network, "takes_windows", False))

    @property
    def core(self) -> int:
        """Side of the middle of a window whose nuclei are typed together, model pixels."""
        network: Any = self.network
        return int(network.core)

    def in_window(
        self, pixels: NDArray[Any], yx: NDArray[np.floating[Any]], *, average: bool = True
    ) -> NDArray[np.float32]:
        """Calibrated class probabilities of nuclei in one window.

        Parameters
        ----------
        pixels : (patch, patch, 3) uint8 or floats, 0 .. 255
        yx : (N, 2) floats, pixels of the window
        average : bool
            Average over the eight turns and mirrorings, else look once.

        Returns
        -------
        (N, C) float32, rows add up to 1

        Raises
        ------
        ModelError
            Where the network gives values that are not numbers.
        """
        import torch

        network: Any = self.network
        temperature = float(self.card.temperature or 1.0)
        place = torch.from_numpy(np.asarray(yx, np.float32)).to(self.device)
        window = torch.zeros(len(place), dtype=torch.long, device=self.device)
        size = (self.patch, self.patch)
        prob = torch.zeros(len(place), len(self.card.classes), dtype=torch.float64)
        with torch.inference_mode():
            x = self._input(pixels[None])
            views = _dihedral(x) if average else iter([x])
            for number, view in enumerate(views):
                there = _turned(place, number, self.patch)
                features = network.features(self._computed(view), size, window, there)
                prob += (network.classify(features).double() / temperature).softmax(dim=1).cpu()
        prob /= number + 1
        return self._numbers(prob.float().numpy())

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
                    logits = torch.cat([self._computed(view) for view in views])
                else:
                    logits = network(x[:, :, SHIFT:-SHIFT, SHIFT:-SHIFT])[None]
                prob = (logits.double() / temperature).softmax(dim=2).mean(dim=0)
                out[start : start + BATCH] = prob.float().cpu().numpy()
        return self._numbers(out)

    def _numbers(self, prob: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(prob).all():
            raise ModelError(
                f"The model {self.card.name!r} gives values that are not numbers; choose the "
                "runtime eager, or another model."
            )
        return prob

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


def _turned(yx: torch.Tensor, view: int, side: int) -> torch.Tensor:
    """(N, 2) pixels of a window, as pixels of the view of that number in `_dihedral`."""
    import torch

    y, x = yx.unbind(1)
    for _ in range(view // 2):
        y, x = side - 1 - x, y
    return torch.stack([y, side - 1 - x if view % 2 else x], dim=1)


def _views_of(network: torch.nn.Module) -> torch.nn.Module:
    """What runtimes compute: a copy of the network whose forward pass is `shifted`, or `packed`."""
    import torch

    from napari_nucbudget.nets.residual import without_norms

    network = without_norms(network)
    takes_windows = getattr(network, "takes_windows", False)

    class Views(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            given: Any = network
            self.network = given
            self.patch = given.patch if takes_windows else given.patch + 2 * SHIFT
            self.invariant = given.invariant

        @property
        def head(self) -> torch.nn.Module:
            given: Any = self.network
            layer: torch.nn.Module = given.head
            return layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given: Any = self.network
            found: torch.Tensor = given.packed(x) if takes_windows else given.shifted(x)
            return found

    return Views().eval()
