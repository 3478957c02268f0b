"""Learning nucleus types from labels, starting from a model of another organ (section 2.2)."""

from __future__ import annotations

from dataclasses import replace

import torch

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.storage import build_network
from napari_nucbudget.types.card import ModelCard
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["FineTuneMethod"]


class FineTuneMethod(SupervisedMethod):
    """All weights of the parent are trained on, none is frozen."""

    def __init__(
        self,
        train: LabelSet,
        validation: LabelSet,
        config: TrainConfig,
        parent: Classifier | None = None,
    ) -> None:
        if parent is None:
            raise TrainingError("The method 'fine-tune' needs a parent model (--parent MODEL).")
        if parent.classes.names != train.classes.names:
            raise TrainingError(
                f"The parent {parent.card.name} knows the classes "
                f"{', '.join(parent.classes.names)}; the labels have "
                f"{', '.join(train.classes.names)}. Use the method 'supervised'."
            )
        super().__init__(train, validation, replace(config, batch_norm=False), parent)
        self._parent = parent

    def network(self) -> torch.nn.Module:
        card = self._parent.card
        network = build_network(card.architecture, card.arguments)
        network.load_state_dict(self._parent.network.state_dict())
        return network

    def card(self) -> ModelCard:
        facts = {"input": self._parent.card.input}
        return super().card().model_copy(update=facts)
