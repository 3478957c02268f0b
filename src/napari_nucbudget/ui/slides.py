"""Which layers show an image to work on, and which were made to show something about it."""

from __future__ import annotations

from typing import Any

__all__ = ["OWN", "is_own", "is_slide", "own_metadata"]

OWN = "napari_nucbudget"
"""Key in the metadata of layers that this plugin made."""


def own_metadata(role: str) -> dict[str, dict[str, str]]:
    """Metadata of a layer that belongs to an image, such as its density picture."""
    return {OWN: {"role": role}}


def is_own(layer: Any, *roles: str) -> bool:
    """Whether a layer is one of ours, made for one of these roles."""
    own = layer.metadata.get(OWN)
    return isinstance(own, dict) and own.get("role") in roles


def is_slide(layer: Any) -> bool:
    """Whether a layer is an image that a person opened (labels are images too, to napari)."""
    from napari.layers import Image

    return type(layer) is Image and OWN not in layer.metadata
