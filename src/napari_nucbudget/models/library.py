"""The models that ship with the package, and those in folders."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from napari_nucbudget.errors import ModelError, UnknownNameError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.models.bundle import CARD_FILE, Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.registry import near_misses
from napari_nucbudget.types.card import ModelCard, ScoreRecord

__all__ = [
    "DEFAULT_DETECTOR",
    "list_models",
    "load_card",
    "load_classifier",
    "load_detector",
    "model_folder",
    "record_scores",
]

DEFAULT_DETECTOR = "nuclei-fcn"


def _shipped() -> dict[str, Path]:
    root = Path(str(files("napari_nucbudget.models") / "weights"))
    return {f.parent.name: f.parent for f in sorted(root.glob(f"*/{CARD_FILE}"))}


def list_models() -> dict[str, Path]:
    """Names of the shipped models and their folders; no weights are read."""
    return _shipped()


def model_folder(name: str | Path) -> Path:
    """Folder of a shipped model by name, or of any model by path.

    Raises
    ------
    UnknownNameError
        For a name that does not ship and is no folder; near misses are listed.
    ModelError
        For a path that is no model folder.
    """
    shipped = _shipped()
    text = os.fspath(name)
    if text in shipped:
        return shipped[text]
    path = Path(text).expanduser()
    if (path / CARD_FILE).is_file():
        return path
    if path.exists() or os.sep in text:
        raise ModelError(f"{text} is not a model folder: it has no {CARD_FILE}.")
    raise UnknownNameError(
        f"There is no model named {text!r}, nor a folder of that name. {near_misses(text, shipped)}"
    )


def load_card(name: str | Path) -> ModelCard:
    """Card of a model, without its weights."""
    return ModelCard.load(model_folder(name) / CARD_FILE)


def load_detector(
    name: str | Path = DEFAULT_DETECTOR, *, device: str = "auto", precision: str = "auto"
) -> Detector:
    """Detector of a shipped model's name or a model folder, ready on a device.

    Raises
    ------
    UnknownNameError, ModelError, DeviceError
    """
    return Detector.load(model_folder(name), device=device, precision=precision)


def load_classifier(name: str | Path, *, device: str = "auto") -> Classifier:
    """Classifier of a shipped model's name or a model folder, ready on a device.

    Raises
    ------
    UnknownNameError, ModelError, DeviceError
    """
    return Classifier.load(model_folder(name), device=device)


def record_scores(folder: Path, record: ScoreRecord) -> ModelCard:
    """Put a score into a model's card, in place of an older one of the same data and split."""
    card = ModelCard.load(folder / CARD_FILE)
    same = (record.data, record.split)
    others = [s for s in card.scores if (s.data, s.split) != same]
    card = card.model_copy(update={"scores": [*others, record]})
    write_atomically(folder / CARD_FILE, card.to_json().encode())
    return card
