"""Models on disk: a card and weights side by side, read with suspicion."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nucbudget.errors import ConfigError, ModelError, OutputError, UnknownNameError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.nets import CLASSIFIERS, DETECTORS
from napari_nucbudget.types.card import ModelCard

if TYPE_CHECKING:
    import torch

__all__ = ["CARD_FILE", "WEIGHTS_FILE", "build_network", "read_model", "sha256_of", "write_model"]

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
    registry = CLASSIFIERS if architecture in CLASSIFIERS else DETECTORS
    network_class = registry[architecture]
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


def write_model(
    folder: Path | str, card: ModelCard, network: torch.nn.Module, *, overwrite: bool = False
) -> Path:
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
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    data = to_bytes(state)  # no name in it: equal weights have equal hashes
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(data).hexdigest()})
    write_atomically(folder / WEIGHTS_FILE, data)
    write_atomically(folder / CARD_FILE, card.to_json().encode())
    return folder


def read_model(folder: Path | str, *, task: str) -> tuple[ModelCard, torch.nn.Module]:
    """Card and network from a folder with card.json and weights.safetensors.

    Raises
    ------
    ModelError
        Where a file is absent or damaged, the model is for another task, the
        weights' hash is not the card's, they are not all numbers or do not fit
        the architecture, the card misstates it, or lacks what its task needs.
    UnknownNameError, ConfigError
        For an architecture, or an argument of it, that this version lacks.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    folder = Path(folder)
    place = folder / CARD_FILE
    card = ModelCard.load(place)
    if card.task != task:
        wanted = {"detection": "a detector", "classification": "a classifier"}[task]
        raise ModelError(f"{card.name} is for {card.task}; {wanted} is needed here.")
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
    if not all(values.isfinite().all() for values in state.values()):
        raise ModelError(
            f"{folder / WEIGHTS_FILE} holds values that are not numbers; get the model again, or "
            "train it anew."
        )
    try:
        _ = (DETECTORS if task == "detection" else CLASSIFIERS)[card.architecture]
        network = build_network(card.architecture, card.arguments)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"The model card {place} is wrong at architecture: {error}"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"The model card {place} is wrong at arguments: {error}") from error
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
    _refuse_misfit(place, card, network)
    return card, network


def _refuse_misfit(place: Path, card: ModelCard, network: Any) -> None:
    """Refuse a card that lacks what its task needs, or says other than the network takes."""
    wrong = f"The model card {place} is wrong at"
    if card.task == "detection":
        for field in ("threshold", "min_distance_um"):
            if getattr(card, field) is None:
                raise ModelError(f"{wrong} {field}: a detector needs a number there.")
        return
    if card.input.patch != network.patch:
        raise ModelError(
            f"{wrong} input.patch: the network {card.architecture!r} takes {network.patch} px, "
            f"the card says {card.input.patch}."
        )
    if len(card.classes) != network.head.out_features:
        raise ModelError(
            f"{wrong} classes: the network has {network.head.out_features} outputs, the card "
            f"names {len(card.classes)} classes."
        )
