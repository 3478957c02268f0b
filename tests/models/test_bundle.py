"""Saving and loading gives the same detector, and a damaged one is refused in words."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_bytes

from napari_nucbudget.errors import (
    ConfigError,
    DeviceError,
    ModelError,
    NucbudgetError,
    OutputError,
    UnknownNameError,
)
from napari_nucbudget.models.bundle import (
    CARD_FILE,
    WEIGHTS_FILE,
    Detector,
    build_network,
    sha256_of,
)


def change_card(folder: Path, **changes: Any) -> None:
    """Overwrite fields of a saved card; ``...`` removes one."""
    card = {**json.loads((folder / CARD_FILE).read_text()), **changes}
    card = {k: v for k, v in card.items() if v is not ...}
    (folder / CARD_FILE).write_text(json.dumps(card))


def replace_weights(folder: Path, data: bytes, *, hashed: bool = True) -> None:
    (folder / WEIGHTS_FILE).write_bytes(data)
    if hashed:
        change_card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def test_saving_and_loading_gives_the_same_map_bit_for_bit(
    tiny_detector: Detector, tmp_path: Path, speckles: NDArray[np.uint8]
) -> None:
    loaded = Detector.load(tiny_detector.save(tmp_path / "model"), device="cpu")
    rgb = speckles.astype(np.float32)
    assert np.array_equal(loaded.proximity(rgb), tiny_detector.proximity(rgb))
    assert loaded.card.model_copy(update={"weights_sha256": ""}) == tiny_detector.card


def test_a_model_is_two_files_and_the_card_knows_the_hash_of_the_weights(tiny_model: Path) -> None:
    assert sorted(p.name for p in tiny_model.iterdir()) == [CARD_FILE, WEIGHTS_FILE]
    card = json.loads((tiny_model / CARD_FILE).read_text())
    assert card["weights_sha256"] == sha256_of(tiny_model / WEIGHTS_FILE)


def test_a_saved_model_is_not_overwritten_unless_asked(
    tiny_detector: Detector, tiny_model: Path
) -> None:
    before = (tiny_model / WEIGHTS_FILE).read_bytes()
    with pytest.raises(OutputError, match="holds a model already"):
        tiny_detector.save(tiny_model)
    assert (tiny_model / WEIGHTS_FILE).read_bytes() == before
    tiny_detector.save(tiny_model, overwrite=True)
    Detector.load(tiny_model)


def test_a_full_disk_leaves_no_half_written_model(
    tiny_detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        tiny_detector.save(tmp_path / "model")
    assert list((tmp_path / "model").iterdir()) == []


def test_a_read_only_place_is_refused(tiny_detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        tiny_detector.save(tmp_path / "file" / "model")


def test_a_wrong_hash_is_refused(tiny_model: Path) -> None:
    change_card(tiny_model, weights_sha256="0" * 64)
    with pytest.raises(
        ModelError, match=r"not those that the card describes.*the card says 000000000000…"
    ):
        Detector.load(tiny_model)


def test_a_card_without_hash_is_refused(tiny_model: Path) -> None:
    change_card(tiny_model, weights_sha256=...)
    with pytest.raises(ModelError, match="the card says nothing…"):
        Detector.load(tiny_model)


def test_one_flipped_bit_in_the_weights_is_refused(tiny_model: Path) -> None:
    data = bytearray((tiny_model / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (tiny_model / WEIGHTS_FILE).write_bytes(bytes(data))
    with pytest.raises(ModelError, match="damaged or mixed up; get the model again"):
        Detector.load(tiny_model)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda data: b"\xff" * 8 + data[8:], id="forged length of the header"),
        pytest.param(lambda data: b"PK\x03\x04" + data, id="a pickle's archive"),
    ],
)
def test_corrupt_safetensors_are_refused_although_the_hash_fits(
    tiny_model: Path, spoil: Callable[[bytes], bytes]
) -> None:
    replace_weights(tiny_model, spoil((tiny_model / WEIGHTS_FILE).read_bytes()))
    with pytest.raises(ModelError, match=r"weights\.safetensors is damaged"):
        Detector.load(tiny_model)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_a_weight_that_is_no_number_is_refused(
    tiny_detector: Detector, tiny_model: Path, value: float
) -> None:
    """At once, since some runtimes make numbers of it again."""
    state = {k: v.contiguous().clone() for k, v in tiny_detector.network.state_dict().items()}
    state["conv2.bias"][1] = value
    replace_weights(tiny_model, to_bytes(state))
    with pytest.raises(ModelError, match=r"weights\.safetensors holds values that are not numbers"):
        Detector.load(tiny_model)


def test_missing_weights_are_named(tiny_model: Path) -> None:
    (tiny_model / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors cannot be read: No such file"):
        Detector.load(tiny_model)


def test_weights_of_another_shape_are_refused(tiny_model: Path) -> None:
    change_card(tiny_model, arguments={"width": 8, "head_width": 8})
    with pytest.raises(ModelError, match="do not fit the network 'fcn'"):
        Detector.load(tiny_model)


def test_weights_with_a_tensor_missing_are_refused(
    tiny_detector: Detector, tiny_model: Path
) -> None:
    state = {k: v.contiguous() for k, v in tiny_detector.network.state_dict().items()}
    del state["conv6.bias"]
    replace_weights(tiny_model, to_bytes(state))
    with pytest.raises(ModelError, match=r"do not fit the network 'fcn'(.|\n)*conv6\.bias"):
        Detector.load(tiny_model)


def test_a_card_that_understates_the_receptive_field_is_refused(tiny_model: Path) -> None:
    spec = {"mpp": 0.55, "mean": [0, 0, 0], "std": [1, 1, 1], "receptive_field": 15}
    change_card(tiny_model, input=spec)
    with pytest.raises(ModelError, match=r"states a receptive field of 15 px.* has 31"):
        Detector.load(tiny_model)


def test_an_unknown_architecture_is_answered_with_near_misses(tiny_model: Path) -> None:
    change_card(tiny_model, architecture="fnc")
    words = r"card\.json is wrong at architecture: There is no detector network named 'fnc'"
    with pytest.raises(UnknownNameError, match=words):
        Detector.load(tiny_model)


def test_an_argument_that_the_architecture_lacks_is_refused(tiny_model: Path) -> None:
    change_card(tiny_model, arguments={"widht": 8})
    words = r"card\.json is wrong at arguments: .*'fcn' does not take these arguments: .*widht"
    with pytest.raises(ConfigError, match=words):
        Detector.load(tiny_model)


@pytest.mark.parametrize("field", ["threshold", "min_distance_um"])
def test_a_detector_without_a_number_that_it_needs_is_refused(tiny_model: Path, field: str) -> None:
    change_card(tiny_model, **{field: None})
    with pytest.raises(ModelError, match=rf"card\.json is wrong at {field}: a detector needs"):
        Detector.load(tiny_model)


def test_a_classifier_is_no_detector(tiny_model: Path) -> None:
    change_card(tiny_model, task="classification")
    with pytest.raises(ModelError, match="tiny is for classification; a detector is needed"):
        Detector.load(tiny_model)


def test_weights_that_are_not_numbers_are_noticed_when_they_are_used(
    detector_with: Callable[..., Detector],
) -> None:
    detector = detector_with()
    with torch.no_grad():
        next(detector.network.parameters())[0] = torch.nan
    with pytest.raises(ModelError, match="'tiny' gives values that are not numbers in float32"):
        detector.proximity(np.full((32, 32, 3), 128, np.float32))


def test_normalisation_is_the_cards(card_with: Callable[..., Any]) -> None:
    class Red(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1]

    spec = {"mpp": 0.55, "mean": (0.5, 0, 0), "std": (0.25, 1, 1), "receptive_field": 1}
    detector = Detector.from_network(card_with(input=spec), Red(), device="cpu")
    rgb = np.zeros((2, 3, 3), np.float32)
    rgb[..., 0] = 255 * 0.75
    np.testing.assert_allclose(detector.proximity(rgb), 1.0, atol=1e-6)
    assert detector.halo == 0


def test_the_map_has_the_type_of_the_weights(
    detector_with: Callable[..., Detector], speckles: NDArray[np.uint8]
) -> None:
    rgb = speckles[:40, :40].astype(np.float32)
    single = detector_with()
    double = replace(single, network=detector_with().network.double())
    one, other = single.proximity(rgb), double.proximity(rgb)
    assert (one.dtype, other.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_gives_nearly_the_same_map(
    tiny_detector: Detector, speckles: NDArray[np.uint8], precision: str
) -> None:
    rgb = speckles[:48, :48].astype(np.float32)
    exact = tiny_detector.proximity(rgb)
    reduced = tiny_detector.to("cpu", precision).proximity(rgb)
    assert reduced.dtype == np.float32
    assert np.abs(reduced - exact).max() < 0.05
    assert not np.array_equal(reduced, exact)


def test_an_unknown_precision_is_refused(tiny_detector: Detector) -> None:
    with pytest.raises(ConfigError, match=r"precision must be auto, .*, got 'int8'"):
        tiny_detector.to("cpu", "int8").proximity(np.zeros((8, 8, 3), np.float32))


def test_a_detector_computes_the_same_wherever_its_window_starts(
    tiny_detector: Detector, speckles: NDArray[np.uint8]
) -> None:
    rgb = speckles.astype(np.float32)
    whole, halo = tiny_detector.proximity(rgb), tiny_detector.halo
    part = tiny_detector.proximity(rgb[20:120, 30:140])
    inner = part[halo:-halo, halo:-halo]
    expected = whole[20 + halo : 120 - halo, 30 + halo : 140 - halo]
    np.testing.assert_allclose(inner, expected, atol=1e-5)


@pytest.mark.parametrize("device", ["quantum", "", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(tiny_model: Path, device: str) -> None:
    with pytest.raises(DeviceError, match="device"):
        Detector.load(tiny_model, device=device)


def test_networks_are_built_from_their_arguments() -> None:
    network = build_network("fcn", {"width": 4, "head_width": 8})
    assert network.state_dict()["conv4.weight"].shape == (8, 4, 11, 11)


def test_every_refusal_is_one_of_ours(tiny_model: Path) -> None:
    for name in (CARD_FILE, WEIGHTS_FILE):
        (tiny_model / name).write_bytes(b"\x00\xff")
        with pytest.raises(NucbudgetError):
            Detector.load(tiny_model)
