"""Learning nucleus types from labels, starting from a model of another organ (section 2.2)."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.methods.supervised import SupervisedMethod
from napari_nucbudget.learn.parent_share import move_towards
from napari_nucbudget.models.classifier import BATCH, Classifier
from napari_nucbudget.models.storage import build_network
from napari_nucbudget.types.card import ModelCard
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["FineTuneMethod"]

log = logging.getLogger(__name__)

VIEWS = 8
"""Augmented views of every labelled nucleus whose features are kept for the head."""
CACHED = 32_768
"""Rows of features at most; with more labels than fit, fewer views of each."""
WINDOW_RATE = 0.3
"""Share of the rate at which a network of windows learns: a step shows it few of the labels."""
WINDOW_SHARE = 0.5
"""Share of the parent's weights in such a network, for all layers learn from few labels."""
FRESH_HEAD = 10.0
"""How much faster a head learns that starts from nothing."""


class FineTuneMethod(SupervisedMethod):
    """The parent's network trained on; how much of it, `TrainConfig.fine_tune` says.

    ``all``: every weight. ``discriminative``: every weight, each layer from
    the output back slower than the one after it by `TrainConfig.layer_decay`.
    ``head``: the last layer alone, on features that are computed once.

    In all three the parent's batch normalisation keeps its statistics: a few
    dozen labels say too little about them, and the network that is trained is
    then the one that predicts. Its scales and shifts are learnt where the
    layer is.

    Where the labels' classes are not the parent's, the features are kept and
    the last layer starts anew; the card says so. Classes in another order are
    put in order.

    Of the weights that come out `TrainConfig.parent_share` is the parent's. A
    last layer that starts anew has none, and reads features as they were when
    it learnt: there nothing is mixed.
    """

    needs_parent = True

    def __init__(
        self,
        train: LabelSet,
        validation: LabelSet,
        config: TrainConfig,
        parent: Classifier | None = None,
    ) -> None:
        if parent is None:
            raise TrainingError("The method 'fine-tune' needs a parent model (--parent MODEL).")
        if config.architecture not in ("auto", parent.card.architecture):
            raise TrainingError(
                f"The parent {parent.card.name} is a {parent.card.architecture}, the settings ask "
                f"for {config.architecture}; fine-tuning keeps the parent's network."
            )
        if config.find_steps:
            raise TrainingError(
                "find_steps is for training afresh: the parent has learnt where nuclei are; leave "
                "it away."
            )
        config = replace(config, batch_norm=False, mpp=parent.card.input.mpp)
        super().__init__(train, validation, config, parent)
        self._parent = parent
        self._input = parent.card.input
        self._features: Tensor | None = None
        self._keeps_head = set(parent.classes.names) == set(train.classes.names)
        self.config = replace(self.config, parent_share=self._share())
        if not self._keeps_head:
            log.warning("%s", self._summary())

    def network(self) -> nn.Module:
        """The parent's network, its head in the order of the labels' classes or anew."""
        card = self._parent.card
        classes = self.classes.names
        network = cast(Any, build_network(card.architecture, self._arguments()))
        generator = torch.Generator().manual_seed(self.config.seed)
        source = cast(Any, self._parent.network)
        head: nn.Linear = network.head
        with torch.no_grad():
            kept = {id(p) for p in source.head.parameters()}
            own = dict(network.named_parameters()) | dict(network.named_buffers())
            for name, value in (*source.named_parameters(), *source.named_buffers()):
                if id(value) not in kept:
                    own[name].copy_(value)
            if self._keeps_head:
                order = [self._parent.classes.names.index(name) for name in classes]
                head.weight.copy_(source.head.weight[order])
                head.bias.copy_(source.head.bias[order])
            else:
                head.weight.normal_(0.0, 1e-2, generator=generator)
                head.bias.zero_()
        if self.config.fine_tune == "head":
            network.requires_grad_(False)
            head.requires_grad_(True)
        return cast(nn.Module, network)

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Layers from the output back, each with its share of the learning rate."""
        mode = self.config.fine_tune
        stages = cast(Any, network).stages()
        decay = self.config.layer_decay if mode == "discriminative" else 1.0
        if mode == "head":
            return [{"params": stages[0], "scale": 1.0}]
        rate = 1.0 if self._windows is None else WINDOW_RATE
        groups = [
            {"params": stage, "scale": rate * decay**depth} for depth, stage in enumerate(stages)
        ]
        if not self._keeps_head:
            groups[0]["scale"] = FRESH_HEAD
        return groups

    def bundle(self, network: nn.Module) -> Classifier:
        """The network in training as a classifier, with its share of the parent's weights."""
        if self.config.parent_share:
            network = copy.deepcopy(network)
            move_towards(network, self.network(), self.config.parent_share)
        return super().bundle(network)

    def _share(self) -> float:
        if not self._keeps_head:
            return 0.0
        if self.config.parent_share is not None:
            return self.config.parent_share
        return 0.0 if self._windows is None or self.config.fine_tune == "head" else WINDOW_SHARE

    def batch(self, rng: np.random.Generator) -> Any:
        """As the supervised batch; for the head alone, (B,) rows of features and their labels."""
        if self.config.fine_tune != "head":
            return super().batch(rng)
        which = rng.integers(len(self._label), size=self.config.batch_size)
        view = rng.integers(self._views(), size=self.config.batch_size)
        return which + view * len(self._label), self._label[which], 0

    def loss(self, network: nn.Module, batch: Any, device: torch.device) -> dict[str, Tensor]:
        """Cross entropy of the labelled patches."""
        if self.config.fine_tune == "head":
            rows, label, _ = batch
            if self._features is None:
                self._features = self._cached(network, device)
            features = self._features[torch.from_numpy(rows).to(device)]
            logits = cast(Any, network).classify(features)
            supervised = F.cross_entropy(logits.float(), torch.from_numpy(label).to(device))
            return {"total": supervised, "supervised": supervised.detach()}
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return super().loss(network, batch, device)

    def _views(self) -> int:
        return max(1, min(VIEWS, CACHED // len(self._label)))

    @torch.no_grad()
    def _cached(self, network: nn.Module, device: torch.device) -> Tensor:
        """(views * N, F) features of every labelled nucleus, one augmented view after another."""
        rng = np.random.default_rng([self.config.seed, VIEWS, CACHED])
        was_training = network.training
        network.eval()
        parts = []
        for _ in range(self._views()):
            if self._windows is not None:
                parts.append(self._windows.features(network, device, self._normalised, rng))
                continue
            for start in range(0, len(self._labelled), BATCH):
                pixels = self._augmented(self._labelled[start : start + BATCH], rng)
                x = self._tensor(pixels, device)
                parts.append(cast(Any, network).features(x).float())
        network.train(was_training)
        return torch.cat(parts)

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = self._parent.card.arguments
        return {**arguments, "classes": len(self.classes)}

    def card(self) -> ModelCard:
        facts = {
            "input": self._input,
            "arguments": self._arguments(),
            "summary": self._summary(),
        }
        return super().card().model_copy(update=facts)

    def _summary(self) -> str:
        parent = self._parent
        how = {
            "all": "all layers trained",
            "head": "last layer trained",
            "discriminative": "all layers trained, deeper ones more slowly",
        }[self.config.fine_tune]
        text = f"Fine-tuned from {parent.card.name}, {how}"
        if self._keeps_head:
            return f"{text}."
        return (
            f"{text}; its features are kept and the last layer starts anew, since it knows the "
            f"classes {', '.join(parent.classes.names)} and the labels have "
            f"{', '.join(self.classes.names)}."
        )
