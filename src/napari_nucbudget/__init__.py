"""napari-nucbudget: count and type cell nuclei in histology with few labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_nucbudget.infer.detect import detect
    from napari_nucbudget.io.images import open_image
    from napari_nucbudget.io.label_sets import read_label_set
    from napari_nucbudget.models.library import list_models, load_detector
    from napari_nucbudget.types.nuclei import Nuclei

__version__ = "0.1.0"

__all__ = ["Nuclei", "detect", "list_models", "load_detector", "open_image", "read_label_set"]

_WHERE = {
    "Nuclei": "types.nuclei",
    "detect": "infer.detect",
    "list_models": "models.library",
    "load_detector": "models.library",
    "open_image": "io.images",
    "read_label_set": "io.label_sets",
}


def __getattr__(name: str) -> Any:
    """Public names are imported on first use: the package alone must not load torch."""
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
