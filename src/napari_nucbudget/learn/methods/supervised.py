"""Learning nucleus types from labels alone: the paper's baseline (section 3.1)."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from napari_nucbudget.core.class_metrics import class_scores
from napari_nucbudget.errors import ModelError, TrainingError
from napari_nucbudget.infer.evaluate import class_score_record
from napari_nucbudget.infer.known_nuclei import KnownNuclei, NucleiInImages, NucleiInPatches
from napari_nucbudget.learn.augment import augment_pixels, dihedral
from napari_nucbudget.learn.data import PIXEL_MEAN, PIXEL_STD
from napari_nucbudget.learn.patch_data import nucleus_patches, stain_reference
from napari_nucbudget.learn.window_examples import WindowExamples
from napari_nucbudget.models.classifier import SHIFT, Classifier
from napari_nucbudget.models.storage import build_network
from napari_nucbudget.nets import CLASSIFIERS
from napari_nucbudget.nets.ladder import GammaLadder, GammaLadderConfig
from napari_nucbudget.types.card import InputSpec, ModelCard
from napari_nucbudget.types.class_scores import ClassScores
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["SupervisedMethod"]

STATISTICS = 2048
"""Patches from which the statistics for prediction are estimated."""

Batch = tuple[NDArray[np.float32], NDArray[np.int64], int]


class SupervisedMethod:
    """What `learn.fit` needs to train a patch classifier from labelled nuclei.

    With `TrainConfig.batch_norm` the encoder of ``patch-cnn`` is the Γ-ladder's
    without noise, folded into the plain network afterwards, so that the two
    methods differ in nothing but noise and denoising cost. ``context-cnn`` and
    ``window-cnn`` have their own normalisation. Of the latter a step sees
    windows, one for every 20 of `TrainConfig.batch_size`, and the labelled
    nuclei in them; first, for `TrainConfig.find_steps`, all dots without classes.
    """

    task = "classification"
    needs_parent = False
    learns_from_windows = True
    finding = False
    """Whether the steps are those that learn where nuclei are."""

    def __init__(
        self,
        train: LabelSet,
        validation: LabelSet,
        config: TrainConfig,
        parent: Classifier | None = None,
    ) -> None:
        if parent is not None and not self.needs_parent:
            raise TrainingError(
                f"The method {config.method!r} starts afresh and takes no parent; use 'fine-tune'."
            )
        self.config, self.parent, self.classes = config, parent, train.classes
        kind = CLASSIFIERS[self._architecture()]
        self._patch: int = kind.patch
        stain = None
        if parent is not None:
            stain = parent.card.input.stain
        elif config.align_stain:
            stain = stain_reference(train, mpp=config.mpp)
        self._input = InputSpec(
            mpp=config.mpp,
            mean=PIXEL_MEAN,
            std=PIXEL_STD,
            patch=self._patch,
            receptive_field=self._patch,
            stain=stain,
        )
        self._windows: WindowExamples | None = None
        self._held: KnownNuclei
        if getattr(kind, "takes_windows", False):
            self._refuse_windows()
            self._windows = WindowExamples(train, config, stain)
            self._label = self._windows.label
            self._held = NucleiInImages(validation)
        else:
            self._refuse_finding()
            side = self._patch + 2 * SHIFT
            patches = nucleus_patches(train, mpp=config.mpp, side=side, stain=stain)
            known = patches.label >= 0
            self._labelled, self._label = patches.rgb[known], patches.label[known].astype(np.int64)
            self._pool = patches.rgb  # labelled ones are among the unlabelled too
            held = nucleus_patches(validation, mpp=config.mpp, side=side, stain=stain)
            known = held.label >= 0
            self._held = NucleiInPatches(held.rgb[known], held.label[known], held.image[known])
        self._validated_on = ", ".join(sorted({image.dataset for image in validation}))
        self._check_labels()

    def _check_labels(self) -> None:
        if len(self.classes) < 2:
            raise TrainingError(
                f"There is one class, {self.classes.names[0]!r}; a classifier tells at least two "
                "apart. Name the others in the scheme, and label some of each."
            )
        counts = np.bincount(self._label, minlength=len(self.classes))
        if not counts.any():
            raise TrainingError("No nucleus has a class; label a few of each class first.")
        for name, count in zip(self.classes.names, counts, strict=True):
            if not count:
                raise TrainingError(
                    f"No labelled nucleus of class {name!r} among {int(counts.sum())}; label at "
                    "least one, or leave the class out of the scheme."
                )
        if counts.sum() < 2 * len(self.classes):
            raise TrainingError(
                f"{int(counts.sum())} labels for {len(self.classes)} classes are too few; "
                f"{2 * len(self.classes)} are the least, 40 a good start."
            )
        if self.config.validation == "paper" and not len(self._held.label):
            raise TrainingError(
                "validation = 'paper' chooses the weights by labels of the split 'validation', and "
                "there are none. Mark labelled images as such in images.csv, or take 'none'."
            )

    def _refuse_windows(self) -> None:
        if not self.learns_from_windows:
            raise TrainingError(
                f"The method {self.config.method!r} learns from patches, and "
                f"{self._architecture()} takes windows; 'supervised' and 'fine-tune' train it, or "
                "choose patch-cnn or context-cnn."
            )

    def _refuse_finding(self) -> None:
        if self.config.find_steps or self.config.balance:
            name = "find_steps" if self.config.find_steps else "balance"
            raise TrainingError(
                f"{name} is for window-cnn, and the network here is {self._architecture()}; leave "
                "it away."
            )

    def network(self) -> torch.nn.Module:
        """The network to train, fresh."""
        config = self.config
        network: torch.nn.Module
        if config.batch_norm and self._architecture() == "patch-cnn":
            network = GammaLadder(GammaLadderConfig(len(self.classes), config.noise))
        else:
            network = build_network(self._architecture(), {"classes": len(self.classes)})
        generator = torch.Generator().manual_seed(config.seed)
        cast(Any, network).initialise(generator, recipe=config.recipe)
        return network

    def parameter_groups(self, network: torch.nn.Module) -> list[dict[str, Any]]:
        """What the optimiser moves: all weights, at one rate."""
        return [{"params": list(network.parameters())}]

    def batch(self, rng: np.random.Generator) -> Any:
        """(B, patch, patch, 3) augmented pixels, their (B,) labels, and a seed for noise.

        Of a network that takes windows: a `WindowBatch`.
        """
        if self._windows is not None:
            return self._windows.batch(rng, finding=self.finding)
        which = rng.integers(len(self._labelled), size=self.config.batch_size)
        pixels = self._augmented(self._labelled[which], rng)
        return pixels, self._label[which], int(rng.integers(2**62))

    def _architecture(self) -> str:
        if self.parent is not None:
            return self.parent.card.architecture
        return "patch-cnn" if self.config.architecture == "auto" else self.config.architecture

    def _augmented(self, wide: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
        """Turned, mirrored, shifted by up to 2 pixels and stained anew, each patch for itself."""
        patch = self._patch
        out = np.empty((len(wide), patch, patch, 3), np.float32)
        for row, pixels in zip(out, wide, strict=True):
            y, x = rng.integers(2 * SHIFT + 1, size=2)
            cut = dihedral(pixels[y : y + patch, x : x + patch], int(rng.integers(8)))
            row[:] = augment_pixels(
                cut, rng, stain=self.config.stain_jitter, brightness=self.config.brightness_jitter
            )
        return out

    def _tensor(self, pixels: NDArray[Any], device: torch.device) -> Tensor:
        """(N, 3, h, w) normalised."""
        return self._normalised(torch.from_numpy(np.ascontiguousarray(pixels)).to(device).float())

    def _normalised(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) of (N, h, w, 3) in 0 .. 255."""
        device = x.device
        mean = torch.tensor(self._input.mean, device=device)
        std = torch.tensor(self._input.std, device=device)
        return ((x / 255.0 - mean) / std).permute(0, 3, 1, 2)

    def loss(self, network: torch.nn.Module, batch: Any, device: torch.device) -> dict[str, Tensor]:
        """Cross entropy of the labelled nuclei; in the steps that learn finding, its cost."""
        if self._windows is not None:
            return self._windows.loss(
                network, batch, device, self._normalised, finding=self.finding
            )
        pixels, label, _ = batch
        x = self._tensor(pixels, device)
        if isinstance(network, GammaLadder):
            logits = network.encode(x, groups=(len(x),)).logits
        else:
            logits = network(x)
        supervised = F.cross_entropy(logits.float(), torch.from_numpy(label).to(device))
        return {"total": supervised, "supervised": supervised.detach()}

    def bundle(self, network: torch.nn.Module) -> Classifier:
        """The network in training as a classifier, statistics estimated and folded."""
        device = next(network.parameters()).device
        if isinstance(network, GammaLadder):
            network.estimate(self._tensor(self._statistics(), device))
            network = network.folded()
        return Classifier.from_network(self.card(), network, device=str(device))

    def _statistics(self) -> NDArray[np.uint8]:
        rng = np.random.default_rng(self.config.seed)
        count = min(STATISTICS, len(self._pool))
        which = rng.choice(len(self._pool), size=count, replace=False)
        return self._pool[which, SHIFT:-SHIFT, SHIFT:-SHIFT]

    def card(self) -> ModelCard:
        """The facts that are known before any training."""
        return ModelCard(
            name="training",
            task="classification",
            architecture=self._architecture(),
            arguments={"classes": len(self.classes)},
            classes=[asdict(c) for c in self.classes.classes],
            input=self._input,
        )

    def validate(self, network: torch.nn.Module) -> tuple[float | None, dict[str, float]]:
        """Weighted F1 on validation labels, and figures to report.

        None where `TrainConfig.validation` is ``"none"``: then the later
        weights are the better, whatever the figures say. NaN where the network
        has overflowed.
        """
        if not len(self._held.label):
            return None, {}
        try:
            prob = self._held.probabilities(self.bundle(network), average=False)
        except ModelError:
            return float("nan"), {}
        scores = self._scores(prob)
        chosen = scores.weighted_f1 if self.config.validation == "paper" else None
        return chosen, {"f1": scores.weighted_f1, "macro_f1": scores.macro_f1}

    def _scores(self, prob: NDArray[np.float32]) -> ClassScores:
        held = self._held
        return class_scores(prob, held.label, held.image, classes=self.classes, mpp=self.config.mpp)

    def load(self, folder: Path, *, device: str) -> Classifier:
        """A saved classifier."""
        return Classifier.load(folder, device=device)

    def finish(self, model: Classifier) -> Classifier:
        """The classifier calibrated and scored on validation, where there are labels.

        Without them the temperature stays unset, which counts as 1: the
        network has seen the training labels, and on those it is surer than it
        should be, so that nothing can be learnt from them about calibration.
        """
        if not len(self._held.label):
            return model
        temperature = _temperature(self._held.logits(model), self._held.label)
        model = replace(model, card=model.card.model_copy(update={"temperature": temperature}))
        scores = self._scores(self._held.probabilities(model))
        record = class_score_record(scores, data=self._validated_on, split="validation")
        return replace(model, card=model.card.model_copy(update={"scores": [record]}))


def _temperature(logits: NDArray[np.float32], label: NDArray[np.int16]) -> float:
    """Divisor of the logits with the least cross entropy, 0.05 to 20 (Guo et al. 2017)."""
    rows = np.arange(len(label))

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        log_prob = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return -float(log_prob[rows, label].mean())

    found = minimize_scalar(cross_entropy, bounds=(-3.0, 3.0), method="bounded")
    return round(float(np.exp(cast(Any, found).x)), 4)
