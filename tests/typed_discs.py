"""Drawn images whose discs show their class by colour, and a classifier that knows nothing yet."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch

from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.nets import CLASSIFIERS
from napari_nucbudget.types.card import InputSpec, ModelCard, StainReference
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei

COLOURS = ((90, 50, 130), (20, 10, 60), (190, 60, 120))
SIDE = 72


def typed_discs(name: str, split: str = "train", seed: int = 0) -> AnnotatedImage:
    """Nine discs, three of each colour, dotted and typed."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid([12, 36, 60], [12, 36, 60], indexing="ij"), -1).reshape(-1, 2)
    label = np.arange(9) % 3
    rgb = np.full((SIDE, SIDE, 3), (230, 180, 215), np.float64)
    rows, columns = np.indices((SIDE, SIDE))
    for (y, x), k in zip(places, label, strict=True):
        rgb[(rows - y) ** 2 + (columns - x) ** 2 <= 25] = COLOURS[k]
    rgb = np.clip(rgb + rng.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    return AnnotatedImage(
        ArraySource(rgb, mpp=0.55, name=name),
        Nuclei.from_points(places, label=label),
        (Region(0, 0, SIDE, SIDE),),
        split=split,
        dataset="discs",
        origin=Provenance("discs"),
    )


def typed_set(*images: AnnotatedImage, classes: ClassScheme = DEFAULT_CLASSES) -> LabelSet:
    return LabelSet(images, classes, (Provenance("discs", licence="CC0"),))


def untrained(
    architecture: str = "patch-cnn",
    *,
    seed: int = 3,
    classes: ClassScheme = DEFAULT_CLASSES,
    stain: StainReference | None = None,
) -> Classifier:
    """Fresh weights as a model in memory, with statistics of its own where it keeps any."""
    network_class = CLASSIFIERS[architecture]
    arguments = {"classes": len(classes)}
    config = type(network_class().config)(**arguments)
    network = network_class(config)
    generator = torch.Generator().manual_seed(seed)
    network.initialise(generator)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5, generator=generator)
    side = network_class.patch
    card = ModelCard(
        name="untrained",
        task="classification",
        architecture=architecture,
        arguments=arguments,
        classes=[asdict(c) for c in classes.classes],
        input=InputSpec(
            mpp=0.55,
            mean=(0.78, 0.62, 0.76),
            std=(0.2, 0.2, 0.2),
            patch=side,
            receptive_field=side,
            stain=stain,
        ),
    )
    return Classifier.from_network(card, network, device="cpu")
