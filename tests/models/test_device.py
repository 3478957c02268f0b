"""Devices and precisions by name."""

from __future__ import annotations

import pytest
import torch

from napari_nucbudget.errors import DeviceError
from napari_nucbudget.models.device import (
    autocast,
    choose_device,
    choose_precision,
    is_out_of_memory,
)


def test_the_processor_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_the_fastest_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto").type == "cuda"


def test_a_device_that_is_absent_is_refused_and_the_usable_ones_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"no device 'cuda' on this machine; usable: auto, cpu"):
        choose_device("cuda")


def test_a_second_gpu_that_is_absent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="no device 'cuda:1'; this machine has 1 GPU"):
        choose_device("cuda:1")


def test_inference_on_a_processor_is_float32_so_that_it_does_not_depend_on_the_machine() -> None:
    assert choose_precision("auto", torch.device("cpu"), training=False) is None


@pytest.mark.parametrize(("bf16", "learns"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_computes_in_float16_and_learns_in_bfloat16_where_it_has_it(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, learns: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    assert choose_precision("auto", torch.device("cuda"), training=False) == torch.float16
    assert choose_precision("auto", torch.device("cuda"), training=True) == learns


def test_autocast_of_float32_changes_nothing() -> None:
    with autocast(torch.device("cpu"), None):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("error", [ValueError("out of memory"), RuntimeError("shape mismatch")])
def test_other_errors_are_not_full_memory(error: BaseException) -> None:
    assert not is_out_of_memory(error)
