"""torch modules: one network a file, listed here."""

from napari_nucbudget.registry import Registry

__all__ = ["CLASSIFIERS", "DETECTORS"]

DETECTORS = Registry(
    "detector network",
    {
        "fcn": "napari_nucbudget.nets.fcn_proximity:FcnProximity",
        "fcn-fast": "napari_nucbudget.nets.fcn_fast:FcnFast",
    },
)
"""Networks that regress a proximity map; each takes its config dataclass's fields."""

CLASSIFIERS = Registry(
    "classifier network",
    {
        "context-cnn": "napari_nucbudget.nets.context_cnn:ContextCnn",
        "descriptors": "napari_nucbudget.nets.descriptors:DescriptorLinear",
        "patch-cnn": "napari_nucbudget.nets.patch_cnn:PatchCnn",
        "window-cnn": "napari_nucbudget.nets.window_cnn:WindowCnn",
    },
)
"""Networks that type the nucleus in the middle of a patch, or, those with `takes_windows`, nuclei
anywhere in it; `patch` is its side."""
