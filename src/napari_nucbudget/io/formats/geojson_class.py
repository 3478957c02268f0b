"""The class of a GeoJSON feature as QuPath and others spell it."""

from __future__ import annotations

from typing import Any

__all__ = ["class_name"]


def class_name(classification: Any) -> str:
    """Name of a class, with subclasses behind colons; empty where there is none.

    QuPath writes ``{"name": "Tumor: In"}`` or ``{"names": ["Tumor", "In"]}``, others the bare
    name.
    """
    if isinstance(classification, str):
        return classification
    given = classification or {}
    names = given.get("names")
    return ": ".join(names) if names else str(given.get("name") or "")
