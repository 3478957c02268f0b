"""The choice of a runtime: measured once, kept, and measured anew where the file is damaged."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_nucbudget.errors import ConfigError, UnknownNameError
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.runtimes import RUNTIMES, choice, prepare


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUCBUDGET_CACHE", str(tmp_path))
    monkeypatch.setattr(choice, "SECONDS", 0.05)
    return tmp_path / choice.FILE


def test_auto_measures_once_and_keeps_to_it(tiny_detector: Detector, cache: Path) -> None:
    first = tiny_detector.choose("auto")
    assert first.measured
    assert cache.exists()
    second = tiny_detector.choose("auto")
    assert not second.measured
    assert second.name == first.name


def test_auto_takes_the_fastest_of_the_exact_ones(
    tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def measured(usable: list[str], *rest: object) -> tuple[dict[str, float], bool]:
        asked.append(usable)
        return {name: 2.0 if name == "eager" else 1.0 for name in usable}, True

    monkeypatch.setattr(choice, "_measure", measured)
    found = tiny_detector.choose("auto")
    assert all(RUNTIMES[name].exact for name in asked[0])
    assert found.name == "dft"
    assert str(found) == "runtime dft (exact), 2.0x eager, measured now"
    tiny_detector.choose("fast")
    assert "bfloat16" in asked[1]


@pytest.mark.parametrize(("message", "again"), [("not enough memory", True), ("broken", False)])
def test_what_memory_left_out_is_measured_again_the_next_time(
    tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch, message: str, again: bool
) -> None:
    def prepared(network: object, device: object, dtype: object, name: str) -> object:
        if name == "dft":
            raise RuntimeError(message)
        return prepare(network, device, dtype, name)

    monkeypatch.setattr(choice, "prepare", prepared)
    assert tiny_detector.choose("auto").name != "dft"
    assert tiny_detector.choose("auto").measured == again


def test_what_takes_long_is_measured_in_two_turns(
    tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[object] = []

    def timed(forward: object, x: object, device: object) -> float:
        turns.append(forward)
        return 1.0

    monkeypatch.setattr(choice, "_cut", lambda example, *rest: example)
    monkeypatch.setattr(choice, "_timed", timed)
    tiny_detector.choose("auto")
    assert {turns.count(forward) for forward in turns} == {2}


def test_what_was_measured_with_amx_does_not_stand_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = []
    for there in (True, False):
        monkeypatch.setattr(choice, "has_amx", lambda there=there: there)
        device = torch.device("cpu")
        keys.append([choice._key("fcn", device, None, names)
                     for names in (["eager", "dft"], ["eager", "fft-bf16"])])  # fmt: skip
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]


@pytest.mark.parametrize("text", ["{", "[]", "[" * 200_000])
def test_a_damaged_file_is_said_and_measured_anew(
    tiny_detector: Detector, cache: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert tiny_detector.choose("auto").measured
    assert "measured anew" in caplog.text
    assert not tiny_detector.choose("auto").measured


def test_an_unknown_name_is_answered_with_near_misses(tiny_detector: Detector) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fast'"):
        tiny_detector.choose("fasst")


def test_a_runtime_of_another_device_says_why_not(tiny_detector: Detector) -> None:
    with pytest.raises(ConfigError, match="computes on cuda, not on cpu"):
        tiny_detector.choose("cuda")


def test_an_absent_package_is_named(
    tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_nucbudget.models.runtimes import openvino

    monkeypatch.setattr(openvino, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install \"napari-nucbudget\[fast\]"):
        tiny_detector.choose("openvino")


def test_reduced_precision_contradicts_a_wish_for_float32(tiny_detector: Detector) -> None:
    asked = replace(tiny_detector, precision="float32")
    with pytest.raises(ConfigError, match="reduced precision"):
        asked.choose("bfloat16")


def test_a_network_in_double_precision_stays_so(tiny_detector: Detector) -> None:
    import copy

    double = replace(tiny_detector, network=copy.deepcopy(tiny_detector.network).double())
    assert double.choose("auto").exact
    with pytest.raises(ConfigError, match="float64"):
        double.choose("bfloat16")
    assert double.network.conv1.weight.dtype == torch.float64
