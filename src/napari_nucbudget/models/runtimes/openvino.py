"""OpenVINO on a processor (extra ``fast``)."""

from __future__ import annotations

import copy
import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from napari_nucbudget.models.runtimes import Forward, Runtime
from napari_nucbudget.models.runtimes.reduced import needs_float32

__all__ = ["OPENVINO", "absent", "compiled"]

EXAMPLE = 64
"""Side of the zeros with which a network that takes any size is traced."""


def absent() -> str | None:
    """What to install, in words; None where OpenVINO is there."""
    if find_spec("openvino") is None:
        return 'OpenVINO is not installed; pip install "napari-nucbudget[fast]"'
    return None


def compiled(network: torch.nn.Module, kind: str) -> Forward:
    """The network compiled by OpenVINO with float32 inputs and outputs.

    Parameters
    ----------
    network : torch.nn.Module
        On the processor, in float32. One with an attribute ``patch`` takes patches of
        that side and any number of them; any other takes one image of any size.
    kind : str
        ``f32`` or ``bf16``: the type that it computes in.
    """
    import openvino

    # The front end is asked directly: the converter around it looks for a network to tell
    # its makers about.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    side = getattr(network, "patch", None)
    example = torch.zeros(1, 3, side or EXAMPLE, side or EXAMPLE)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated in torch, and there is no other way
        decoder = TorchScriptPythonDecoder(plain, example_input=(example,))
        front = FrontEndManager().load_by_framework("pytorch")
        model = front.convert(front.load(decoder))
    free = openvino.Dimension()
    shape = [free, 3, side, side] if side else [1, 3, free, free]
    model.reshape({model.inputs[0]: openvino.PartialShape(shape)})
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": kind,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    ready = openvino.Core().compile_model(model, "CPU", settings)

    def forward(x: Tensor) -> Tensor:
        # A request of its own for every call, so that threads do not share one.
        found = ready.create_infer_request().infer([x.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(found[0].copy())

    return forward


def _prepare(network: torch.nn.Module, device: torch.device, dtype: torch.dtype | None) -> Forward:
    return compiled(network, "f32")


OPENVINO = Runtime(
    exact=True, devices=("cpu",), prepare=_prepare, missing=absent, refuses=needs_float32
)
