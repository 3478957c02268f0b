"""Settings of a training run, the reports it yields, and what it leaves behind."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_nucbudget.errors import ConfigError
from napari_nucbudget.registry import near_misses
from napari_nucbudget.types.image import MPP_RANGE

__all__ = ["EpochReport", "TrainConfig", "TrainingRun"]

ANY = math.inf
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "batch_size": (1, 2**16),
    "crop": (32, 4096),
    "loss_stride": (1, 32),
    "warmup": (0, 1),
    "weight_decay": (0, ANY),
    "foreground_weight": (0, ANY),
    "stain_jitter": (0, ANY),
    "brightness_jitter": (0, ANY),
    "smoothing_px": (0, 20),
    "score_smoothing_px": (0, 20),
    "min_distance_um": (0, 100),
    "mpp": MPP_RANGE,
    "threads": (0, 1024),
    "find_steps": (0, ANY),
}
"""Least and greatest value of settings."""


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a training run; saved beside the weights.

    The paper's own values (section 3.1) are SGD with Nesterov momentum at a
    rate of 1e-4, weights from N(0, 0.01), raw targets: ``recipe = "paper"``
    selects them. They do not train this network in torch, see
    docs/training.md; the defaults do.
    """

    method: str = "detection"
    recipe: Literal["product", "paper"] = "product"
    architecture: str = "auto"
    """A network of `nets`; ``auto``: the parent's, else fcn for detection, patch-cnn for types."""
    seed: int = 0
    steps: int = 12_000
    """Optimiser steps in all (the schedule's length)."""
    steps_per_epoch: int = 500
    """Steps between two validations."""
    patience: int = 8
    """Epochs without a better validation score before training stops."""
    batch_size: int = 2
    """Crops a step (section 3.1: 2)."""
    crop: int = 250
    """Side of a crop in model pixels (section 3.1: 250)."""
    learning_rate: float = 2e-3
    warmup: float = 0.1
    """Fraction of the steps over which the rate rises."""
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    foreground_weight: float = 4.0
    """Loss (o - t)^2 (1 + w t): weight w of a pixel at a nucleus' centre."""
    loss_stride: int = 3
    """The loss is taken on every n-th pixel of a grid whose offset is drawn anew each step."""
    batch_norm: bool = True
    """Batch normalisation while training, folded into the convolutions afterwards."""
    ema: float = 0.998
    """Decay of the running mean of the weights, which is what is validated and kept."""
    parent_share: float | None = None
    """Share of the parent's weights in those of what is fine-tuned: what keeps it from forgetting.
    None: half for window-cnn where more than the last layer is trained, else nothing."""
    alpha: float = 3.0
    """Equation 1's alpha."""
    d_max_um: float = 4.4
    """Equation 1's d_max in µm (8 px at 0.55 µm/px)."""
    smoothing_px: float = 1.0
    """Standard deviation of the Gaussian before peaks are sought, model pixels."""
    score_smoothing_px: float = 1.8
    """The same for the map whose height at a peak is its score: peaks want detail, ranking calm."""
    min_distance_um: float = 1.8
    """No two proposals lie closer (3.3 px at 0.55 µm/px)."""
    mpp: float = 0.55
    """Pixel size at which the network works, µm/px (section 3.1)."""
    align_stain: bool = False
    """Give every image, in training and ever after, the mean stain of the training images first
    (types only). A fine-tuned classifier does as its parent."""
    stain_jitter: float = 0.1
    """Relative spread of the amounts of haematoxylin and eosin."""
    brightness_jitter: float = 0.0
    find_steps: int = 0
    """Steps at the start in which window-cnn learns where nuclei are, from all dots of the training
    images, before it learns types; rates rise and fall in either part by themselves."""
    balance: bool = False
    """Draw from every data set equally often (window-cnn)."""
    noise: float = 0.3
    """Standard deviation of the Γ-ladder's noise on input and layers."""
    denoising_weight: float = 1.0
    """Weight of the denoising cost of a ladder's top layer beside the supervised one."""
    ladder_weights: tuple[float, ...] = (1000.0, 10.0, 0.1, 0.1, 0.1)
    """Weights of the full ladder's denoising costs below the top: input, both convolutions, both
    hidden layers (Rasmus et al. 2015: 1000, 10, 0.1 and 0.1 above)."""
    unlabelled_batch: int = 64
    """Unlabelled patches a step (ladders, FixMatch)."""
    unlabelled_weight: float = 1.0
    """Weight of FixMatch's unlabelled term beside the supervised one."""
    pseudo_threshold: float = 0.95
    """Least probability at which FixMatch believes its own guess."""
    align_distribution: bool = False
    """Scale FixMatch's guesses to the labels' shares of the classes; for labels that were drawn at
    random, not for those that were sought out."""
    strong_jitter: float = 0.2
    """Spread of the stain amounts in FixMatch's strong view; exposure varies by half of it."""
    fine_tune: Literal["all", "head", "discriminative"] = "all"
    """What fine-tuning a classifier trains: all layers, the last one on frozen features, or all
    with a rate that falls from the output back."""
    layer_decay: float = 0.5
    """Factor of the learning rate from a layer to the one before it (``discriminative``)."""
    validation: Literal["none", "paper"] = "none"
    """What chooses a classifier's weights. ``none``: nothing, the schedule is fixed and the last
    weights are kept; validation labels, if any, only report and calibrate. ``paper``: the best
    weighted F1 on validation labels (section 3.1), which someone with few labels lacks."""
    radius_um: float = 3.3
    """Matching radius of validation (section 3.1: 6 px at 0.55 µm/px)."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch."""

    def __post_init__(self) -> None:
        for name in ("steps", "steps_per_epoch", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not value >= low:
                raise ConfigError(f"{name} must be at least {low:g}, got {value}.")
            if not value <= high:
                raise ConfigError(f"{name} must be at most {high:g}, got {value}.")
        for name in (
            "learning_rate",
            "clip_norm",
            "alpha",
            "d_max_um",
            "min_distance_um",
            "radius_um",
        ):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}.")
        if self.parent_share is not None and not 0 <= self.parent_share <= 1:
            raise ConfigError(f"parent_share must lie in [0, 1], got {self.parent_share}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema must lie in [0, 1), got {self.ema}.")
        for name in ("noise", "denoising_weight", "unlabelled_weight", "strong_jitter"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if len(self.ladder_weights) != 5 or not all(w >= 0 for w in self.ladder_weights):
            raise ConfigError(
                "ladder_weights must be five numbers of at least 0 (input, two convolutions, two "
                f"hidden layers), got {list(self.ladder_weights)}."
            )
        if self.find_steps >= self.steps:
            raise ConfigError(
                f"find_steps must be below steps, the sum of both parts ({self.steps}), got "
                f"{self.find_steps}."
            )
        if not 0 <= self.pseudo_threshold <= 1:
            raise ConfigError(f"pseudo_threshold must lie in [0, 1], got {self.pseudo_threshold}.")
        if self.unlabelled_batch < 1:
            raise ConfigError(f"unlabelled_batch must be at least 1, got {self.unlabelled_batch}.")
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"layer_decay must lie in (0, 1], got {self.layer_decay}.")
        for name, choices in (
            ("recipe", ("product", "paper")),
            ("validation", ("none", "paper")),
            ("fine_tune", ("all", "head", "discriminative")),
            ("precision", ("auto", "float32", "bfloat16", "float16")),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}."
                )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Settings from a mapping; an unknown key is an error, an absent one takes its default.

        Raises
        ------
        ConfigError
            For unknown keys (near misses are named) and wrong values.
        """
        known = {f.name: f for f in dataclasses.fields(cls)}
        for key, value in values.items():
            if key not in known:
                raise ConfigError(f"There is no setting {key!r}. {near_misses(key, known)}")
            default = getattr(cls, key)
            if value is None and default is None:
                continue
            kind = float if default is None else type(default)
            if kind is tuple:
                values = {**values, key: _numbers(key, value)}
                continue
            fits = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
            if not fits or (kind is not bool and isinstance(value, bool)):
                raise ConfigError(f"{key} must be of type {kind.__name__}, got {value!r}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _numbers(key: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or any(
        isinstance(v, bool) or not isinstance(v, (int, float)) for v in value
    ):
        raise ConfigError(f"{key} must be a list of numbers, got {value!r}.")
    return tuple(float(v) for v in value)


@dataclass(frozen=True)
class EpochReport:
    """What one epoch brought."""

    epoch: int
    step: int
    steps: int
    loss: dict[str, float]
    validation: dict[str, float]
    score: float
    """The figure that decides which weights are kept; higher is better."""
    best_epoch: int
    seconds: float
    is_best: bool


@dataclass(frozen=True)
class TrainingRun:
    """A finished run: where its model is and how it went."""

    model_dir: Path
    config: TrainConfig
    reports: tuple[EpochReport, ...]
    stopped: str
    """Why it ended: ``"steps"``, ``"patience"``, ``"nan"`` or ``"cancelled"``."""
