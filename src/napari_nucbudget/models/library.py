"""The models that ship with the package, those that a user kept, and those in folders."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from importlib.resources import files
from pathlib import Path

from napari_nucbudget.errors import ConfigError, ModelError, OutputError, UnknownNameError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.models import DEFAULT_DETECTOR
from napari_nucbudget.models.bundle import CARD_FILE, Detector
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.storage import WEIGHTS_FILE
from napari_nucbudget.project.recovery import data_folder
from napari_nucbudget.registry import near_misses
from napari_nucbudget.types.card import ModelCard, ScoreRecord, check_model_name

__all__ = [
    "DEFAULT_DETECTOR",
    "keep_model",
    "list_models",
    "load_card",
    "load_classifier",
    "load_detector",
    "model_folder",
    "record_scores",
    "shipped_models",
    "user_folder",
]

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAMING = (
    "use up to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"
)


def shipped_models() -> dict[str, Path]:
    """Names of the models that ship and their folders; no weights are read."""
    root = Path(str(files("napari_nucbudget.models") / "weights"))
    return {f.parent.name: f.parent for f in sorted(root.glob(f"*/{CARD_FILE}"))}


def user_folder() -> Path:
    """Where kept models lie: ``NUCBUDGET_MODELS``, else in the user's data folder."""
    if chosen := os.environ.get("NUCBUDGET_MODELS"):
        return Path(chosen).expanduser()
    return data_folder() / "models"


def list_models() -> dict[str, Path]:
    """Names and folders of the models that ship and of those that a user kept.

    No weights are read. A kept model whose card cannot be read, or whose folder has a name
    that `model_folder` does not take, is left out, and logged.
    """
    shipped = shipped_models()
    found = dict(shipped)
    for file in sorted(user_folder().glob(f"[!.]*/{CARD_FILE}")):  # hidden: being written
        if not NAME.fullmatch(file.parent.name):
            log.warning("%s cannot be named, and is left out. Rename it: %s.", file.parent, NAMING)
            continue
        try:
            ModelCard.load(file)
        except ModelError as error:
            log.warning("%s It is left out.", error)
        else:
            found.setdefault(file.parent.name, file.parent)
    return found


def keep_model(folder: Path | str, name: str) -> Path:
    """Copy a model into the user's folder, so that it is offered by `name` from now on.

    Raises
    ------
    ConfigError
        Where the name is taken, or does not do as the name of a folder.
    ModelError
        Where `folder` holds no model.
    OutputError
        Where the copy cannot be written.
    """
    source = model_folder(folder)
    name = name.strip()
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of a model: {NAMING}.")
    check_model_name(name)
    taken = {known.casefold() for known in (*shipped_models(), *_kept())}
    if name.casefold() in taken:
        raise ConfigError(f"There is a model named {name!r} already; choose another name.")
    card = ModelCard.load(source / CARD_FILE).model_copy(update={"name": name})
    place = user_folder() / name
    temporary = place.with_name(f".{name}.{secrets.token_hex(4)}.part")
    try:
        temporary.mkdir(parents=True)
        shutil.copyfile(source / WEIGHTS_FILE, temporary / WEIGHTS_FILE)
        write_atomically(temporary / CARD_FILE, card.to_json().encode())
        temporary.rename(place)
    except OSError as error:
        raise OutputError(
            f"The model cannot be kept in {place}: {error.strerror or error}."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return place


def _kept() -> list[str]:
    root = user_folder()
    return [path.name for path in root.iterdir()] if root.is_dir() else []


def model_folder(name: str | Path) -> Path:
    """Folder of a shipped or kept model by name, or of any model by path.

    Raises
    ------
    UnknownNameError
        For a name that is not known and is no folder; near misses are listed.
    ModelError
        For a path that is no model folder.
    """
    shipped = shipped_models()
    text = os.fspath(name)
    if text in shipped:
        return shipped[text]
    if NAME.fullmatch(text) and (user_folder() / text / CARD_FILE).is_file():
        return user_folder() / text
    path = Path(text).expanduser()
    if (path / CARD_FILE).is_file():
        return path
    if path.exists() or os.sep in text:
        raise ModelError(f"{text} is not a model folder: it has no {CARD_FILE}.")
    raise UnknownNameError(
        f"There is no model named {text!r}, nor a folder of that name. "
        f"{near_misses(text, list_models())}"
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
