"""Ways to learn: one a file, listed here; `learn.fit` drives them all."""

from napari_nucbudget.registry import Registry

__all__ = ["METHODS"]

METHODS = Registry(
    "training method",
    {
        "detection": "napari_nucbudget.learn.methods.detection:DetectionMethod",
        "descriptors": "napari_nucbudget.learn.methods.descriptors:DescriptorsMethod",
        "supervised": "napari_nucbudget.learn.methods.supervised:SupervisedMethod",
        "fine-tune": "napari_nucbudget.learn.methods.fine_tune:FineTuneMethod",
        "fixmatch": "napari_nucbudget.learn.methods.fixmatch:FixMatchMethod",
        "ladder": "napari_nucbudget.learn.methods.ladder:LadderMethod",
        "gamma-ladder": "napari_nucbudget.learn.methods.gamma_ladder:GammaLadderMethod",
    },
)
