"""Network, card and weights together: a detector that can be asked for a map."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ConfigError, ModelError
from napari_nucbudget.models.device import choose_device, choose_precision
from napari_nucbudget.models.runtimes import Banded, Forward, plain_runtime, prepare
from napari_nucbudget.models.storage import (
    CARD_FILE,
    WEIGHTS_FILE,
    build_network,
    read_model,
    sha256_of,
    write_model,
)
from napari_nucbudget.types.card import ModelCard

if TYPE_CHECKING:
    import torch

    from napari_nucbudget.models.runtimes.choice import Choice
    from napari_nucbudget.models.transfers import Transfers

__all__ = ["CARD_FILE", "WEIGHTS_FILE", "Detector", "build_network", "sha256_of"]

LARGE = 1_500_000
"""Pixels up to which no layer of a fast network takes more than 24 MB: bands save no memory."""


@dataclass(frozen=True, eq=False)
class Detector:
    """Proposes nuclei: `proximity` turns pixels into a map, the card says the rest.

    `runtime` is a name in `RUNTIMES`; None takes the plain one, which needs nothing but
    torch and is the same on every machine (`plain_runtime`).
    """

    card: ModelCard
    network: torch.nn.Module
    device: torch.device
    precision: str = "auto"
    runtime: str | None = None

    @cached_property
    def _forward(self) -> Forward:
        return prepare(self.network, self.device, self._reduced, self.runtime_name)

    @property
    def _own(self) -> torch.dtype:
        """Type of the network's weights."""
        import torch

        return next((p.dtype for p in self.network.parameters()), torch.float32)

    @property
    def _reduced(self) -> torch.dtype | None:
        """Reduced type that is asked for, or None; a network in float64 stays so."""
        import torch

        if self._own == torch.float64:
            return None
        return choose_precision(self.precision, self.device, training=False)

    @property
    def runtime_name(self) -> str:
        """Name of the runtime that computes."""
        if self.runtime is not None:
            return self.runtime
        return plain_runtime(self.network, self.device, reduced=self._reduced is not None)

    def choose(self, runtime: str) -> Choice:
        """The runtime of that name, or the one that ``auto`` or ``fast`` finds here.

        Nothing changes: `with_runtime` takes the name.

        Raises
        ------
        UnknownNameError, ConfigError
            See `choose_runtime`; also for a runtime of reduced precision where the
            precision is to be float32.
        """
        import torch

        from napari_nucbudget.models.runtimes.choice import choose_runtime

        card = self.card
        side = self.tile + 2 * self.halo
        found = choose_runtime(
            runtime,
            self.network,
            self.device,
            self._reduced,
            torch.zeros(1, 3, side, side, device=self.device, dtype=self._own),
            label=f"{card.architecture} {card.arguments}",
        )
        if self.precision == "float32" and not found.exact:
            raise ConfigError(
                f"The runtime {found.name!r} computes in reduced precision, and the precision is "
                "to be float32. Choose the runtime auto, or another precision."
            )
        return found

    def with_runtime(self, name: str | None) -> Detector:
        """The same detector, computed by the runtime of that name."""
        return replace(self, runtime=name)

    @property
    def halo(self) -> int:
        """Model pixels around a tile that its values depend on."""
        return self.card.input.receptive_field // 2

    @property
    def alignment(self) -> int:
        """Model pixels of whose multiples a tile must begin for its values to be the image's."""
        return int(getattr(self.network, "alignment", 1))

    @property
    def tile(self) -> int:
        """Side of tiles, model pixels: about a second of work, and little halo; more on a GPU."""
        own = int(getattr(self.network, "tile", 512))
        return own if self.device.type == "cpu" else max(own, 1024)

    @property
    def dense_tile(self) -> int:
        """Side of tiles where all of an area is wanted: less halo than `tile`, whose smaller ones
        leave out more of what is not tissue."""
        if self.device.type != "cpu":
            return self.tile
        return int(getattr(self.network, "dense_tile", self.tile))

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
        return self.begin(rgb)()

    def begin(self, rgb: NDArray[np.floating[Any]]) -> Callable[[], NDArray[np.floating[Any]]]:
        """Start on `proximity`; what is given back waits for the map, and raises as it does.

        On an NVIDIA GPU up to `ahead` more tiles may be begun before the first is waited
        for: their pixels come while it computes. Elsewhere the map is there at once.
        """
        import torch

        rows, height = self.band_rows, len(rgb)
        if rows is not None and rgb.shape[0] * rgb.shape[1] > LARGE:
            cuts = list(range(rows, height - rows + 1, rows))
            values = np.concatenate(list(self.proximity_in_bands(np.split(rgb, cuts))))
            return lambda: values
        with torch.inference_mode():
            if self._transfers is not None:
                wait = self._transfers.begin(rgb, self._map)
            else:
                pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device, self._own)
                wait = self._map(pixels).to(self._own).cpu().numpy

        return lambda: self._checked(wait())

    @property
    def band_rows(self) -> int | None:
        """Rows that a band must have for `proximity_in_bands`; None where there is no such way."""
        return self._forward.rows if isinstance(self._forward, Banded) else None

    def proximity_in_bands(
        self, bands: Iterable[NDArray[np.floating[Any]]]
    ) -> Iterator[NDArray[np.floating[Any]]]:
        """`proximity` of one image whose rows come in bands, from the top: as they are computed.

        Nothing as large as the image is ever in memory, and the map is that of the whole but
        for the last bit.

        Parameters
        ----------
        bands : iterable of (n, w, 3) floats, 0 .. 255
            With `band_rows` rows or a multiple, the last one with so many or more; of an
            image with fewer, all.

        Yields
        ------
        (n, w) float32 or float64
            The map's next rows; of one band, none or more, of all together as many as came.

        Raises
        ------
        ModelError
            Where the network gives values that are not numbers.
        """
        import torch

        assert isinstance(self._forward, Banded)
        forward = self._forward.begin()
        coming = iter(bands)
        band = next(coming, None)
        while band is not None:
            following = next(coming, None)
            with torch.inference_mode():
                pixels = torch.from_numpy(np.ascontiguousarray(band)).to(self.device, self._own)
                found = forward(self._normalised(pixels), last=following is None)
                values = found[0, 0].to(self._own).numpy()
            yield self._checked(values)
            band = following

    def _checked(self, values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        if not np.isfinite(values).all():
            raise ModelError(
                f"The model {self.card.name!r} gives values that are not numbers in "
                f"{str(self._reduced or self._own).removeprefix('torch.')}; choose the "
                "precision float32, or another model."
            )
        return values

    @property
    def ahead(self) -> int:
        """Tiles that are worth beginning before the first of them is waited for."""
        from napari_nucbudget.models.transfers import SLOTS

        return 0 if self._transfers is None else SLOTS - 1

    @cached_property
    def _transfers(self) -> Transfers | None:
        from napari_nucbudget.models.transfers import Transfers

        return Transfers(self.device, self._own) if self.device.type == "cuda" else None

    def _map(self, pixels: torch.Tensor) -> torch.Tensor:
        """(h, w, 3) pixels in 0 .. 255 on the device to the (h, w) map there."""
        return self._forward(self._normalised(pixels))[0, 0]

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """(h, w, 3) pixels in 0 .. 255 to what the network takes, (1, 3, h, w)."""
        import torch

        spec = self.card.input
        mean = torch.tensor(spec.mean, device=self.device, dtype=self._own)
        std = torch.tensor(spec.std, device=self.device, dtype=self._own)
        x = pixels / 255.0
        x -= mean
        x /= std
        # (h, w, 3) seen as (1, 3, h, w) is channels-last already
        return x.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write card and weights, see `storage.write_model`."""
        return write_model(folder, self.card, self.network, overwrite=overwrite)

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "auto", precision: str = "auto") -> Detector:
        """Detector of a model folder; raises as `storage.read_model` does."""
        card, network = read_model(folder, task="detection")
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
