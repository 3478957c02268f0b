"""State of a training run on disk, so that it can go on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.io.files import write_atomically

__all__ = ["load_state", "save_state"]

STATE_FILE = "state.safetensors"


def save_state(
    folder: Path,
    *,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    """Weights, their running mean, the optimiser's moments and `facts`, in one file."""
    from safetensors.torch import save

    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        for key, value in moments.items():
            if value is not None:
                tensors[f"optimiser.{index}.{key}"] = torch.as_tensor(value)
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    write_atomically(folder / STATE_FILE, save(whole, metadata={"facts": json.dumps(facts)}))


def load_state(
    folder: Path,
    *,
    network: torch.nn.Module,
    average: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    identity: dict[str, Any],
) -> dict[str, Any]:
    """Put a saved state back; returns the facts saved with it.

    Parameters
    ----------
    folder : Path
    network, average, optimiser
        What the state is put into.
    identity : dict
        The facts ``config``, ``images`` and ``parent`` of the run that wants to go on.

    Raises
    ------
    TrainingError
        Where the file is absent, damaged, or of another run.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / STATE_FILE
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["facts"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise TrainingError(f"{folder} holds no run to resume: it has no {STATE_FILE}.") from None
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise TrainingError(f"{path} is damaged and cannot be resumed: {error}.") from error

    _refuse_other_run(facts, identity)

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in part("optimiser.").items():
        index, _, name = key.partition(".")
        moments.setdefault(int(index), {})[name] = value
    try:
        network.load_state_dict(part("network."))
        average.load_state_dict(part("average."))
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"{path} belongs to another network: {error}") from error
    return facts


def _refuse_other_run(saved: dict[str, Any], now: dict[str, Any]) -> None:
    """Runs of earlier versions did not save all of it; what they did not is not compared."""
    settings = saved["config"]
    differ = [k for k, v in now["config"].items() if k != "threads" and settings.get(k) != v]
    if differ:
        raise TrainingError(
            f"The run to resume had other settings: {', '.join(differ)}. "
            "Resume with its own config.json, or start a new run."
        )
    images = saved.get("images") or now["images"]
    differ = [split for split in now["images"] if images.get(split) != now["images"][split]]
    if differ:
        raise TrainingError(
            f"The run to resume had other {' and '.join(differ)} images or labels. "
            "Resume with those, or start a new run in another folder."
        )
    if saved.get("parent", now["parent"]) != now["parent"]:
        raise TrainingError(
            "The run to resume began with another parent, or with none. Resume with that one "
            "(--parent), or start a new run in another folder."
        )
