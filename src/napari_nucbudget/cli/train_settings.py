"""The settings of a training: a method's defaults, a file, options, or those of another model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_nucbudget.errors import ConfigError

if TYPE_CHECKING:
    from napari_nucbudget.types.card import ModelCard
    from napari_nucbudget.types.training import TrainConfig

__all__ = ["chosen_model", "settings_of_classifier", "settings_of_detector"]


def chosen_model(
    final: str | None, task: str, parent: str | None, others: dict[str, Any]
) -> ModelCard | None:
    """Card of the model to train once more, where there is one; its settings are not mixed."""
    from napari_nucbudget.models.library import load_card

    if final is None:
        return None
    if given := [key for key, value in others.items() if value]:
        names = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise ConfigError(f"--final takes the settings of {final}; leave {names} away.")
    card = load_card(final)
    if card.task != task:
        raise ConfigError(f"{card.name} is a model for {card.task}, not for {task}.")
    if card.parent and not parent:
        raise ConfigError(f"{card.name} was fine-tuned; give --parent {card.parent} too.")
    return card


def settings_of_classifier(
    file: Path | None, options: dict[str, Any], out: Path, *, resume: bool
) -> TrainConfig:
    """The method's defaults, then the file's settings, then the options that were given."""
    from napari_nucbudget.learn.transfer import classifier_settings
    from napari_nucbudget.types.training import TrainConfig

    if resume and file is None:
        file = out / "config.json"
    chosen = _read(file) if file is not None else {}
    chosen |= {key: value for key, value in options.items() if value is not None}
    method = str(chosen.get("method", "gamma-ladder"))
    if options["fine_tune"] is not None and method != "fine-tune":
        raise ConfigError(f"--fine-tune is for --method fine-tune, not {method}.")
    return TrainConfig.from_dict(classifier_settings(method, chosen))


def settings_of_detector(
    file: Path | None, seed: int | None, out: Path, *, fine_tune: bool, resume: bool
) -> TrainConfig:
    from napari_nucbudget.learn.transfer import FINE_TUNE_DETECTOR
    from napari_nucbudget.types.training import TrainConfig

    values: dict[str, Any] = dict(FINE_TUNE_DETECTOR) if fine_tune else {}
    if resume and file is None:
        file = out / "config.json"
    if file is not None:
        values |= _read(file)
    if seed is not None:
        values["seed"] = seed
    return TrainConfig.from_dict(values)


def _read(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # JSON, TOML and Unicode errors alike
        raise ConfigError(f"{file} is not a TOML or JSON file of settings: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} must hold settings by name.")
    return values
