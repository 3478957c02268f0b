"""Table 1 by OpenVINO (extra ``fast``), but for the 11x11 layer: that one in the frequency domain.

Each does what it is best at. OpenVINO needs half of torch's time for the three first
convolutions and their pools, and for the two 1x1 layers at the end; for the layer between them it
needs more than twice the time of `dft`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.dft import DftForward, not_table_1
from napari_nucbudget.models.runtimes.openvino import absent, compiled, compiled_for
from napari_nucbudget.models.runtimes.reduced import needs_float32

__all__ = ["OPENVINO_DFT"]


class _Encoder(nn.Module):
    """`FcnProximity.encode` as a network of its own."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.network.encode(x)
        return found


class _Decoder(nn.Module):
    """`FcnProximity.decode` on (N, 128) pixels."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.conv5: nn.Conv2d = network.conv5
        self.conv6: nn.Conv2d = network.conv6

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv5, self.conv6):
            x = F.linear(F.relu(x), layer.weight.flatten(1), layer.bias)
        return x


def _prepare(network: Any, device: torch.device, dtype: torch.dtype | None) -> Forward:
    pixels = torch.zeros(2, network.conv5.in_channels)
    return DftForward(
        network,
        encode=compiled(_Encoder(network), "f32"),
        decode=compiled_for(_Decoder(network), "f32", pixels, free=(0,)),
    )


def _refuses(network: torch.nn.Module) -> str | None:
    return not_table_1(network) or needs_float32(network)


OPENVINO_DFT = Runtime(
    exact=True, devices=("cpu",), prepare=_prepare, missing=absent, refuses=_refuses
)
