"""Network, card and weights together: a detector that can be asked for a map."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ConfigError, ModelError, OutputError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.models.device import autocast, choose_device, choose_precision
from napari_nucbudget.models.runtimes import Forward, prepare
from napari_nucbudget.nets import DETECTORS
from napari_nucbudget.types.card import ModelCard

if TYPE_CHECKING:
    import torch

__all__ = ["CARD_FILE", "WEIGHTS_FILE", "Detector", "build_network", "sha256_of"]

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_network(architecture: str, arguments: dict[str, Any]) -> torch.nn.Module:
    """Network of a registered architecture with the arguments of its config.

    Raises
    ------
    UnknownNameError, ConfigError
        For an unknown architecture, or arguments that it does not take.
    """
    network_class = DETECTORS[architecture]
    config_class = _config_class(network_class)
    try:
        network: torch.nn.Module = network_class(config_class(**arguments))
    except TypeError as error:
        raise ConfigError(
            f"The network {architecture!r} does not take these arguments: {error}."
        ) from error
    return network


def _config_class(network_class: Any) -> Any:
    """The dataclass beside a network class in its file, named after its ``__init__``."""
    from typing import get_args, get_type_hints

    hint = get_type_hints(network_class.__init__)["config"]
    return next(kind for kind in get_args(hint) if kind is not type(None))


@dataclass(frozen=True, eq=False)
class Detector:
    """Proposes nuclei: `proximity` turns pixels into a map, the card says the rest."""

    card: ModelCard
    network: torch.nn.Module
    device: torch.device
    precision: str = "auto"
    runtime: str = "auto"

    @cached_property
    def _forward(self) -> Forward:
        dtype = choose_precision(self.precision, self.device, training=False)
        return prepare(self.network, self.device, reduced=dtype is not None, name=self.runtime)

    @property
    def halo(self) -> int:
        """Model pixels around a tile that its values depend on."""
        return self.card.input.receptive_field // 2

    def to(self, device: str, precision: str | None = None) -> Detector:
        """The same detector on another device; this one stays where it is."""
        chosen = choose_device(device)
        network = self.network if chosen == self.device else copy.deepcopy(self.network)
        return replace(
            self,
            network=network.to(chosen),
            device=chosen,
            precision=precision or self.precision,
        )

    def proximity(self, rgb: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Proximity map of pixels at the model's pixel size.

        Computed in the type of the network's weights: a network turned to
        float64 gives float64.

        Parameters
        ----------
        rgb : (h, w, 3) floats, 0 .. 255

        Returns
        -------
        (h, w) float32 or float64, about 0 .. 1

        Raises
        ------
        ModelError
            Where the network gives values that are not numbers.
        """
        import torch

        spec = self.card.input
        own = next((p.dtype for p in self.network.parameters()), torch.float32)
        double = own == torch.float64
        dtype = choose_precision(self.precision, self.device, training=False)
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device, own)
            mean = torch.tensor(spec.mean, device=self.device, dtype=own)
            std = torch.tensor(spec.std, device=self.device, dtype=own)
            x = (pixels / 255.0 - mean) / std
            # (h, w, 3) seen as (1, 3, h, w) is channels-last already
            x = x.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
            with autocast(self.device, None if double else dtype):
                out = self._forward(x)[0, 0]
            values: NDArray[np.floating[Any]] = (out if double else out.float()).cpu().numpy()
        if not np.isfinite(values).all():
            raise ModelError(
                f"The model {self.card.name!r} gives values that are not numbers in "
                f"{str(dtype or own).removeprefix('torch.')}; choose the precision float32, or "
                "another model."
            )
        return values

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Card and weights as two files, each written whole or not at all.

        Raises
        ------
        OutputError
            Where the folder holds a model already or cannot be written.
        """
        from safetensors.torch import save as to_bytes

        folder = Path(folder)
        if (folder / CARD_FILE).exists() and not overwrite:
            raise OutputError(f"{folder} holds a model already; choose another folder.")
        state = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        data = to_bytes(state, metadata={"name": self.card.name})
        card = self.card.model_copy(update={"weights_sha256": hashlib.sha256(data).hexdigest()})
        write_atomically(folder / WEIGHTS_FILE, data)
        write_atomically(folder / CARD_FILE, card.to_json().encode())
        return folder

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "auto", precision: str = "auto") -> Detector:
        """Detector from a folder with card.json and weights.safetensors.

        Raises
        ------
        ModelError
            Where a file is absent or damaged, the weights' hash is not the
            card's, they do not fit the architecture, or the card misstates it.
        UnknownNameError, ConfigError
            For an architecture, or an argument of it, that this version lacks.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load as from_bytes

        folder = Path(folder)
        card = ModelCard.load(folder / CARD_FILE)
        if card.task != "detection":
            raise ModelError(f"{card.name} is for {card.task}; a detector is needed here.")
        try:
            data = (folder / WEIGHTS_FILE).read_bytes()
        except OSError as error:
            raise ModelError(
                f"The weights {folder / WEIGHTS_FILE} cannot be read: {error.strerror or error}."
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if found != card.weights_sha256:
            raise ModelError(
                f"The weights in {folder} are not those that the card describes: their SHA-256 is "
                f"{found[:12]}…, the card says {card.weights_sha256[:12] or 'nothing'}…. "
                "The files are damaged or mixed up; get the model again."
            )
        try:
            state = from_bytes(data)
        except SafetensorError as error:
            raise ModelError(f"{folder / WEIGHTS_FILE} is damaged: {error}.") from error
        network = build_network(card.architecture, card.arguments)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(
                f"The weights in {folder} do not fit the network {card.architecture!r}: {error}"
            ) from error
        reach = getattr(network, "receptive_field", card.input.receptive_field)
        if card.input.receptive_field < reach:
            raise ModelError(
                f"The card in {folder} states a receptive field of {card.input.receptive_field} "
                f"px, the network {card.architecture!r} has {reach}: tiles would not fit together."
            )
        return cls.from_network(card, network, device=device, precision=precision)

    @classmethod
    def from_network(
        cls,
        card: ModelCard,
        network: torch.nn.Module,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> Detector:
        """Detector around a network in memory, put into evaluation mode."""
        import torch

        chosen = choose_device(device)
        network = network.to(chosen).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        return cls(card=card, network=network, device=chosen, precision=precision)
