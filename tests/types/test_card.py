"""A model card is read whole and right, or refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from napari_nucbudget.errors import ModelError
from napari_nucbudget.types.card import SCHEMA_VERSION, ModelCard, TrainingData
from napari_nucbudget.types.classes import DEFAULT_CLASSES

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def values(card_with: Callable[..., ModelCard]) -> dict[str, Any]:
    data = TrainingData(name="d", split="train", images=1, nuclei=2, sha256="ab", licence="CC0")
    card = card_with(training_data=[data], summary="µm and 上皮")
    return json.loads(card.to_json())


def stored(folder: Path, values: Any) -> Path:
    path = folder / "card.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def test_a_card_survives_the_file(tmp_path: Path, values: dict[str, Any]) -> None:
    card = ModelCard.load(stored(tmp_path, values))
    assert card.summary == "µm and 上皮"
    assert json.loads(card.to_json()) == values


def test_classes_become_a_scheme(card_with: Callable[..., ModelCard]) -> None:
    classes = [{"name": c.name, "color": c.color, "key": c.key} for c in DEFAULT_CLASSES.classes]
    assert card_with(classes=classes).scheme == DEFAULT_CLASSES


def test_a_card_cannot_be_changed_in_place(card_with: Callable[..., ModelCard]) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        card_with().threshold = 0.1  # type: ignore[misc]


@pytest.mark.parametrize("field", ["name", "task", "architecture", "input"])
def test_a_missing_field_is_named(tmp_path: Path, values: dict[str, Any], field: str) -> None:
    del values[field]
    with pytest.raises(ModelError, match=f"is wrong at {field}: Field required"):
        ModelCard.load(stored(tmp_path, values))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"treshold": 0.3}, "is wrong at treshold: Extra inputs are not permitted"),
        ({"threshold": 1.5}, "is wrong at threshold: .*less than or equal to 1"),
        ({"threshold": "high"}, "is wrong at threshold"),
        ({"task": "segmentation"}, "is wrong at task"),
        ({"min_distance_um": 0}, "is wrong at min_distance_um"),
        ({"smoothing_px": -1}, "is wrong at smoothing_px"),
        ({"classes": [{"name": "a"}]}, "is wrong at classes"),
        ({"classes": [{"name": "a", "color": "b", "hotkey": "c"}]}, "is wrong at classes"),
        ({"name": "human"}, "is wrong at name.*cannot be the name of a model"),
        ({"name": ""}, "is wrong at name"),
        ({"training_data": [{"name": "a"}]}, r"is wrong at training_data\.0\.split"),
        ({"schema_version": 0}, "is wrong at schema_version"),
        ({"smoothing_px": INF}, "is wrong at smoothing_px: .*finite number"),
        ({"smoothing_px": 1e7}, "is wrong at smoothing_px: .*less than or equal to 20"),
        ({"score_smoothing_px": NAN}, "is wrong at score_smoothing_px: .*finite number"),
        ({"min_distance_um": 1e9}, "is wrong at min_distance_um: .*less than or equal to 100"),
        ({"temperature": INF}, "is wrong at temperature: .*finite number"),
        ({"curve": [{"loss": NAN}]}, r"is wrong at curve\.0\.loss: .*finite number"),
        (
            {"arguments": {"width": -1}},
            r"wrong at arguments: .*width must lie in 0 \.\. 1024, got -1",
        ),
        ({"arguments": {"depth": 10**9}}, "is wrong at arguments: .*depth must lie in"),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, values: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        ModelCard.load(stored(tmp_path, {**values, **change}))


@pytest.mark.parametrize(
    "change",
    [
        {"mpp": 0},
        {"mpp": -0.5},
        {"mpp": 1e-6},
        {"mpp": 1e9},
        {"mpp": INF},
        {"std": [0.2, 0, 0.2]},
        {"std": [0.2, INF, 0.2]},
        {"mean": [0.1]},
        {"mean": [0.1, NAN, 0.1]},
        {"receptive_field": 10**7},
        {"extra": 1},
    ],
)
def test_a_wrong_input_is_named(
    tmp_path: Path, values: dict[str, Any], change: dict[str, Any]
) -> None:
    values["input"].update(change)
    with pytest.raises(ModelError, match=rf"is wrong at input\.{next(iter(change))}"):
        ModelCard.load(stored(tmp_path, values))


def test_a_setting_of_the_training_may_be_infinite(tmp_path: Path, values: dict[str, Any]) -> None:
    """The paper's recipe has no bound on gradients."""
    card = ModelCard.load(stored(tmp_path, {**values, "config": {"clip_norm": INF}}))
    assert card.config == {"clip_norm": INF}


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99])
def test_a_newer_schema_is_refused_with_the_advice_to_update(
    tmp_path: Path, values: dict[str, Any], version: int
) -> None:
    """Before its fields are looked at: those of a newer schema need not fit."""
    path = stored(tmp_path, {**values, "schema_version": version, "new_field": 1})
    with pytest.raises(ModelError, match=f"schema version {version}; .*Update napari-nucbudget"):
        ModelCard.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"card"'])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelError, match=r"The model card .*card\.json (cannot be read|is wrong)"):
        ModelCard.load(stored(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot be read"):
        ModelCard.load(tmp_path / "card.json")


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder: it has no card\.json"):
        ModelCard.load(tmp_path / "card.json")
