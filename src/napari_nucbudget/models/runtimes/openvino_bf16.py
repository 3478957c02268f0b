"""OpenVINO in bfloat16 (extra ``fast``), for classifiers.

For detectors it loses too much: all layers are in bfloat16, and one nucleus in 700 comes
or goes at the threshold.
"""

from __future__ import annotations

import torch

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.openvino import absent, compiled
from napari_nucbudget.models.runtimes.reduced import needs_float32

__all__ = ["OPENVINO_BF16"]


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return compiled(network, "bf16")


def _refuses(network: torch.nn.Module) -> str | None:
    if not hasattr(network, "patch"):
        return "it computes classifiers only; choose bfloat16 or openvino for detectors"
    return needs_float32(network)


OPENVINO_BF16 = Runtime(
    exact=False, devices=("cpu",), prepare=_prepare, missing=absent, refuses=_refuses
)
