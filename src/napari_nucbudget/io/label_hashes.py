"""What a label set is known by: hashes of its images, and how they are arranged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np

from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import AnnotatedImage

__all__ = ["arrangement", "content_hash"]


def content_hash(images: list[AnnotatedImage]) -> str:
    """SHA-256 over names, pixels, dots and classes, in order of name."""
    digest = hashlib.sha256()
    for image in sorted(images, key=lambda i: i.name):
        digest.update(image.name.encode())
        digest.update(image.source.read(Region.whole(image.source.shape)).tobytes())
        order = np.lexsort((image.nuclei.yx[:, 1], image.nuclei.yx[:, 0]))
        digest.update(np.ascontiguousarray(image.nuclei.yx[order], "<f4").tobytes())
        digest.update(np.ascontiguousarray(image.nuclei.label[order], "<i2").tobytes())
    return digest.hexdigest()


def arrangement(labels: Iterable[AnnotatedImage]) -> str:
    """What decides training beside pixels and dots, as JSON: order, pixel sizes, fields, stains."""
    facts = [
        (image.name, image.mpp, image.nuclei.classes.names, image.fields, image.stain)
        for image in labels
    ]
    return json.dumps(facts, default=asdict)
