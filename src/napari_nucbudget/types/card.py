"""The facts that travel with weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, field_validator

from napari_nucbudget.errors import ConfigError, ModelError
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import MPP_RANGE
from napari_nucbudget.types.nuclei import HUMAN
from napari_nucbudget.types.training import RANGES

__all__ = [
    "SCHEMA_VERSION",
    "InputSpec",
    "ModelCard",
    "ScoreRecord",
    "StainReference",
    "TrainingData",
    "check_model_name",
]

SCHEMA_VERSION = 1
MOST = 1024
"""Greatest receptive field in pixels, and greatest number among a network's arguments: far more
than any network here has, and no more than memory holds."""


def check_model_name(name: str) -> str:
    """The name, which proposals carry as their origin: without one, or as `HUMAN`, they would pass
    for dots that a person set.

    Raises
    ------
    ConfigError
        Where it is empty or `HUMAN`.
    """
    if name.strip() in ("", HUMAN):
        raise ConfigError(f"{name!r} cannot be the name of a model; choose another one.")
    return name


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StainReference(_Frozen):
    """How strongly images are stained for a model: optical density of tissue in R, G, B."""

    mean: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class InputSpec(_Frozen):
    """What the network takes: pixel size, and normalisation (rgb / 255 - mean) / std.

    With a `stain`, every image is first given that mean and spread of optical density.
    """

    mpp: float = Field(ge=MPP_RANGE[0], le=MPP_RANGE[1])
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    patch: int | None = None
    receptive_field: int = Field(gt=0, le=MOST)
    stain: StainReference | None = None


class TrainingData(_Frozen):
    """One set of images that the weights have seen, or that chose among them."""

    name: str
    split: str
    images: int
    nuclei: int
    sha256: str
    """Hash over the names, pixels and dots of the images, in order of name."""
    licence: str
    cite: str = ""


class ScoreRecord(_Frozen):
    """A score on one split, with everything that it depends on.

    ``metrics`` of a detector are f1, precision, recall, aupr and others at its
    threshold; of a classifier accuracy, macro_f1, weighted_f1 and ece over the
    nuclei that have a class.
    """

    data: str
    split: str
    images: int
    nuclei: int
    metrics: dict[str, float]
    f1_ci: tuple[float, float] | None = None
    """95 % bootstrap interval over images of a detector's F1."""
    weighted_f1_ci: tuple[float, float] | None = None
    """The same of a classifier's weighted F1."""
    class_f1: dict[str, float] = Field(default_factory=dict)
    """A classifier's F1 by class name."""
    radius_um: float | None = None
    mpp: float


class ModelCard(_Frozen):
    """Everything that must be known to use weights, and to trust them.

    `load` and `save` are the only ways to a file; a card that does not
    validate is refused in one sentence.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    name: str
    task: Literal["detection", "classification"]
    architecture: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    classes: list[dict[str, str]] = Field(default_factory=list)
    input: InputSpec
    threshold: float | None = Field(default=None, ge=0, le=1)
    min_distance_um: float | None = Field(default=None, gt=0, le=RANGES["min_distance_um"][1])
    smoothing_px: float | None = Field(default=None, ge=0, le=RANGES["smoothing_px"][1])
    """Gaussian on the map before peaks are sought, model pixels."""
    score_smoothing_px: float | None = Field(default=None, ge=0, le=RANGES["score_smoothing_px"][1])
    """Gaussian on the map whose height at a peak is its score; None: the same as for peaks."""
    alpha: float | None = None
    d_max_um: float | None = None
    temperature: float | None = Field(default=None, gt=0)
    """Divisor of a classifier's logits, fitted on validation."""
    summary: str = ""
    split: str = ""
    training_data: list[TrainingData] = Field(default_factory=list)
    validation_data: list[TrainingData] = Field(default_factory=list)
    scores: list[ScoreRecord] = Field(default_factory=list)
    curve: list[dict[str, float]] = Field(default_factory=list)
    config: dict[str, Any] = Field(default_factory=dict)
    licence: str = "unknown"
    citation: str = ""
    parent: str | None = None
    created: str = ""
    software: dict[str, str] = Field(default_factory=dict)
    weights_sha256: str = ""

    @field_validator("name")
    @classmethod
    def _proposals_can_be_told_from_dots(cls, name: str) -> str:
        try:
            return check_model_name(name)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @field_validator("arguments")
    @classmethod
    def _arguments_are_no_larger_than_networks(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name, value in arguments.items():
            if isinstance(value, (int, float)) and not 0 <= value <= MOST:
                raise ValueError(f"{name} must lie in 0 .. {MOST}, got {value!r}")
        return arguments

    @field_validator("classes")
    @classmethod
    def _classes_make_a_scheme(cls, classes: list[dict[str, str]]) -> list[dict[str, str]]:
        try:
            ClassScheme(tuple(NucleusClass(**c) for c in classes))
        except (TypeError, ConfigError) as error:
            raise ValueError(str(error)) from error
        return classes

    @property
    def scheme(self) -> ClassScheme:
        return ClassScheme(tuple(NucleusClass(**c) for c in self.classes))

    @classmethod
    def load(cls, path: Path) -> ModelCard:
        """Card from a JSON file.

        Raises
        ------
        ModelError
            Where the file is absent, not JSON, of a newer schema, or does not validate.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(
                f"{path.parent} is not a model folder: it has no {path.name}."
            ) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ModelError(f"The model card {path} cannot be read: {error}.") from error
        version = values.get("schema_version") if isinstance(values, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ModelError(
                f"The model card {path} has schema version {version}; this version of "
                f"napari-nucbudget reads up to {SCHEMA_VERSION}. Update napari-nucbudget."
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the card"
            raise ModelError(
                f"The model card {path} is wrong at {where}: {first['msg']}."
            ) from error

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
