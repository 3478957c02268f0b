"""Ways to learn: one a file, listed here; `learn.fit` drives them all."""

from napari_nucbudget.registry import Registry

__all__ = ["METHODS"]

METHODS = Registry(
    "training method",
    {
        "detection": "napari_nucbudget.learn.methods.detection:DetectionMethod",
    },
)
