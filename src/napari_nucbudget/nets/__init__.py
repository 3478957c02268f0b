"""torch modules: one network a file, listed here."""

from napari_nucbudget.registry import Registry

__all__ = ["DETECTORS"]

DETECTORS = Registry(
    "detector network",
    {
        "fcn": "napari_nucbudget.nets.fcn_proximity:FcnProximity",
    },
)
"""Networks that regress a proximity map; each takes its config dataclass's fields."""
