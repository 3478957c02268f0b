"""The models that the dock offers, and those that were loaded already."""

from __future__ import annotations

import threading
from pathlib import Path

from napari_nucbudget.errors import ModelError
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.library import (
    list_models,
    load_card,
    load_classifier,
    load_detector,
)
from napari_nucbudget.types.card import ModelCard

__all__ = ["Catalogue"]


class Catalogue:
    """Detectors and classifiers by name: the shipped ones, and folders that were opened.

    `card` is quick; `load` imports torch and reads weights, so it belongs into
    a job. A loaded model is kept, per model and device.
    """

    def __init__(self) -> None:
        self._names: dict[str, str | Path] = {name: name for name in list_models()}
        self._cards: dict[str, ModelCard] = {}
        self._loaded: dict[tuple[str, str], Detector] = {}
        self._classifiers: dict[tuple[str, str], Classifier] = {}
        self._lock = threading.Lock()

    def classifiers(self) -> list[str]:
        """Names of all classifiers whose card says so."""
        return [name for name in self._names if self.card(name).task == "classification"]

    def names(self, task: str = "detection") -> list[str]:
        """Names of all models for a task, by their cards."""
        return [name for name in self._names if self.card(name).task == task]

    def refresh(self) -> None:
        """Offer models too that were kept meanwhile."""
        for name in list_models():
            self._names.setdefault(name, name)

    def card(self, name: str) -> ModelCard:
        if name not in self._cards:
            self._cards[name] = load_card(self._names[name])
        return self._cards[name]

    def open_folder(self, folder: Path | str) -> str:
        """Add the model in a folder; returns the name under which it is offered.

        Raises
        ------
        ModelError
            Where the folder holds no model.
        """
        folder = Path(folder)
        card = load_card(folder)
        if card.task not in ("detection", "classification"):
            raise ModelError(
                f"{card.name} in {folder} is for {card.task}; open a detector or a classifier."
            )
        name = card.name
        if name in self._names and self._names[name] != folder:
            name = f"{card.name} ({folder})"
        self._names[name] = folder
        self._cards[name] = card
        return name

    def load(self, name: str, device: str) -> Detector:
        """Detector, ready on a device; slow on the first call for it.

        Raises
        ------
        ModelError, DeviceError
        """
        with self._lock:
            if (name, device) not in self._loaded:
                self._loaded[name, device] = load_detector(self._names[name], device=device)
            return self._loaded[name, device]

    def load_classifier(self, name: str, device: str) -> Classifier:
        """Classifier, ready on a device; slow on the first call for it.

        Raises
        ------
        ModelError, DeviceError
        """
        with self._lock:
            if (name, device) not in self._classifiers:
                loaded = load_classifier(self._names[name], device=device)
                self._classifiers[name, device] = loaded
            return self._classifiers[name, device]
