"""Learning to regress the proximity map from dots in fields (sections 2.1, 2.2, 3.1)."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_nucbudget.core.metrics import (
    ImageDetections,
    detection_scores,
    pr_curve,
)
from napari_nucbudget.errors import TrainingError
from napari_nucbudget.infer.evaluate import compare, score_record
from napari_nucbudget.learn.augment import augment_pixels, dihedral
from napari_nucbudget.learn.data import PIXEL_MEAN, PIXEL_STD, Sampler, detection_images
from napari_nucbudget.learn.parent_share import move_towards
from napari_nucbudget.models.bundle import Detector, build_network
from napari_nucbudget.models.device import choose_precision
from napari_nucbudget.nets import DETECTORS
from napari_nucbudget.types.card import InputSpec, ModelCard
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["DetectionMethod"]

log = logging.getLogger(__name__)

THRESHOLDS = np.round(np.arange(0.06, 0.80, 0.01), 2)


class DetectionMethod:
    """What `learn.fit` needs to train a detector.

    The loss is ``(o - t)^2 (1 + w t)`` averaged over the known pixels, with the
    target t of equation 1 in [0, 1]. It is taken on every n-th pixel of a grid
    with a random offset (`TrainConfig.loss_stride`): an unbiased estimate of
    the dense loss, since neighbouring pixels say nearly the same, at a ninth
    of the cost of the 11x11 layer for n = 3.
    """

    task = "detection"
    needs_parent = False

    def __init__(
        self,
        train: LabelSet,
        validation: LabelSet,
        config: TrainConfig,
        parent: Detector | None = None,
    ) -> None:
        config = _paper(config) if config.recipe == "paper" else config
        if parent is not None:
            if config.architecture not in ("auto", parent.card.architecture):
                raise TrainingError(
                    f"The parent {parent.card.name} is a {parent.card.architecture}, the settings "
                    f"ask for {config.architecture}; fine-tuning keeps the parent's network."
                )
            config = replace(config, mpp=parent.card.input.mpp)
        self.config, self.parent = config, parent
        self.train, self.validation = train, _scorable(validation)
        self._images = detection_images(
            train, mpp=config.mpp, alpha=config.alpha, d_max_um=config.d_max_um
        )
        self._sampler = Sampler(self._images, config.crop)
        self._input = (
            parent.card.input
            if parent
            else InputSpec(
                mpp=config.mpp,
                mean=PIXEL_MEAN,
                std=PIXEL_STD,
                receptive_field=DETECTORS[self._architecture()].receptive_field,
            )
        )
        self._target_scale = math.expm1(config.alpha) if config.recipe == "paper" else 1.0

    def network(self) -> torch.nn.Module:
        """The network to train: fresh, or with the parent's weights."""
        config = self.config
        if self.parent is not None:
            card = self.parent.card
            network = build_network(card.architecture, card.arguments)
            network.load_state_dict(self.parent.network.state_dict())
            _scale_output(network, self._target_scale)
            return network
        network = build_network(self._architecture(), {"batch_norm": config.batch_norm})
        generator = torch.Generator().manual_seed(config.seed)
        cast(Any, network).initialise(generator, recipe=config.recipe)
        return network

    def _architecture(self) -> str:
        return "fcn" if self.config.architecture == "auto" else self.config.architecture

    def parameter_groups(self, network: torch.nn.Module) -> list[dict[str, Any]]:
        """What the optimiser moves: all weights, at one rate."""
        return [{"params": list(network.parameters())}]

    def batch(self, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
        """(B, h, w, 3) pixels, (B, h, w) targets, (B, h, w) "is known", (2,) grid offset."""
        config = self.config
        parts = []
        for _ in range(config.batch_size):
            rgb, target, known = self._sampler.draw(rng)
            stained = augment_pixels(
                rgb, rng, stain=config.stain_jitter, brightness=config.brightness_jitter
            )
            turn = int(rng.integers(8))
            parts.append([dihedral(a, turn) for a in (stained, target, known)])
        offset = rng.integers(config.loss_stride, size=2)
        pixels, targets, knowns = (np.stack(p) for p in zip(*parts, strict=True))
        return pixels, targets, knowns, offset

    def loss(
        self, network: torch.nn.Module, batch: tuple[NDArray[Any], ...], device: torch.device
    ) -> dict[str, Tensor]:
        """Terms of the loss; ``total`` is what is minimised."""
        pixels, target, known, offset = batch
        x = torch.from_numpy(pixels).to(device)
        mean = torch.tensor(self._input.mean, device=device)
        std = torch.tensor(self._input.std, device=device)
        x = (x / 255.0 - mean) / std
        x = x.permute(0, 3, 1, 2)  # (B, 3, h, w), channels last in memory
        stride = self.config.loss_stride
        dy, dx = int(offset[0]), int(offset[1])
        out = network(x, stride=stride, offset=(dy, dx))[:, 0].float()
        grid = (slice(None), slice(dy, None, stride), slice(dx, None, stride))
        t = torch.from_numpy(target[grid].copy()).to(device)
        k = torch.from_numpy(known[grid].astype(np.float32)).to(device)
        weight = k * (1 + self.config.foreground_weight * t)
        error = (out - t * self._target_scale) ** 2
        return {"total": (weight * error).sum() / k.sum().clamp(min=1)}

    def bundle(self, network: torch.nn.Module, precision: str = "float32") -> Detector:
        """The network in training as a detector, normalisation folded away."""
        plain = cast(Any, network).folded()
        _scale_output(plain, 1 / self._target_scale)
        if self.parent is not None and self.config.parent_share:
            move_towards(plain, self.parent.network, self.config.parent_share)
        device = next(network.parameters()).device
        return Detector.from_network(self.card(), plain, device=str(device), precision=precision)

    def card(self) -> ModelCard:
        """The facts that are known before any training."""
        config = self.config
        if self.parent is not None:
            architecture, arguments = self.parent.card.architecture, self.parent.card.arguments
        else:
            architecture, arguments = self._architecture(), {}
        return ModelCard(
            name="training",
            task="detection",
            architecture=architecture,
            arguments=arguments,
            input=self._input,
            threshold=0.3,
            min_distance_um=config.min_distance_um,
            smoothing_px=config.smoothing_px,
            score_smoothing_px=config.score_smoothing_px,
            alpha=config.alpha,
            d_max_um=config.d_max_um,
        )

    def _compared(self, labels: LabelSet, detector: Detector) -> dict[str, list[ImageDetections]]:
        by_set: dict[str, list[ImageDetections]] = {}
        for image in labels:
            by_set.setdefault(image.dataset, []).append(compare(image, detector))
        return by_set

    def validate(self, network: torch.nn.Module) -> tuple[float | None, dict[str, float]]:
        """F1 at the best common threshold, averaged over the data sets; and its parts.

        Runs in the precision of training; `finish` decides in float32. None
        where there is no validation image: then the schedule is fixed.
        """
        if not len(self.validation):
            return None, {}
        device = next(network.parameters()).device
        dtype = choose_precision(self.config.precision, device, training=True)
        precision = str(dtype).removeprefix("torch.") if dtype else "float32"
        by_set = self._compared(self.validation, self.bundle(network, precision))
        threshold, mean_f1, parts = _common_threshold(by_set, self.config.radius_um)
        return mean_f1, {"f1": mean_f1, "threshold": threshold, **parts}

    def load(self, folder: Path, *, device: str) -> Detector:
        """A saved detector, in the precision that decides."""
        return Detector.load(folder, device=device, precision="float32")

    def finish(self, detector: Detector) -> Detector:
        """The detector with its threshold chosen on validation and its scores there.

        Without validation images the training fields choose the threshold: a
        parent's does not carry over to another organ. No score is recorded.
        """
        if not len(self.validation):
            by_set = self._compared(self.train, detector)
            threshold, _, _ = _common_threshold(by_set, self.config.radius_um)
            split = "no validation images: fixed schedule, threshold chosen on the training fields"
            card = detector.card.model_copy(update={"threshold": threshold, "split": split})
            return replace(detector, card=card)
        by_set = self._compared(self.validation, detector)
        threshold, _, _ = _common_threshold(by_set, self.config.radius_um)
        records = []
        for name, images in by_set.items():
            scores = detection_scores(
                images, threshold=threshold, radius_um=self.config.radius_um, mpp=self.config.mpp
            )
            records.append(score_record(scores, data=name, split="validation"))
        card = detector.card.model_copy(update={"threshold": threshold, "scores": records})
        return replace(detector, card=card)


@torch.no_grad()
def _scale_output(network: Any, factor: float) -> None:
    """Between [0, 1], in which detectors answer, and the paper's targets up to exp(alpha) - 1."""
    if factor != 1.0:
        for parameter in network.last.parameters():
            parameter *= factor


def _scorable(labels: LabelSet) -> LabelSet:
    """The images with fields: in others nothing tells a mistake from a nucleus without a dot."""
    with_fields = tuple(image for image in labels if image.fields)
    if left := len(labels) - len(with_fields):
        log.warning(
            "%d of %d validation images declare no field, and are left out: they cannot be scored.",
            left,
            len(labels),
        )
    return replace(labels, images=with_fields)


def _common_threshold(
    by_set: dict[str, list[ImageDetections]], radius_um: float
) -> tuple[float, float, dict[str, float]]:
    """Threshold with the highest F1 averaged over data sets, that F1, and each set's own."""
    if not by_set:
        raise TrainingError("There is no validation image; the threshold cannot be chosen.")
    f1 = np.zeros((len(by_set), len(THRESHOLDS)))
    for row, images in zip(f1, by_set.values(), strict=True):
        curve = pr_curve(images, radius=radius_um)
        if not len(curve.threshold):
            continue
        # The curve runs from high to low; the last point at or above a threshold is its state.
        place = np.searchsorted(-curve.threshold, -THRESHOLDS, side="right") - 1
        row[:] = np.where(place >= 0, curve.f1[np.maximum(place, 0)], 0.0)
    mean = f1.mean(axis=0)
    best = int(np.argmax(mean))
    parts = {f"f1_{name}": float(row[best]) for name, row in zip(by_set, f1, strict=True)}
    return float(THRESHOLDS[best]), float(mean[best]), parts


def _paper(config: TrainConfig) -> TrainConfig:
    """The recipe as printed in section 3.1, which does not train (docs/training.md)."""
    return replace(
        config,
        learning_rate=1e-4,
        batch_size=2,
        crop=250,
        warmup=0.0,
        weight_decay=0.0,
        clip_norm=math.inf,
        foreground_weight=0.0,
        loss_stride=1,
        batch_norm=False,
        ema=0.0,
        stain_jitter=0.0,
        brightness_jitter=0.0,
    )
