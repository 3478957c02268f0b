"""Which images a model has seen, by content."""

from __future__ import annotations

from napari_nucbudget.io.label_sets import content_hash
from napari_nucbudget.types.card import TrainingData
from napari_nucbudget.types.labels import LabelSet

__all__ = ["training_data"]


def training_data(labels: LabelSet) -> list[TrainingData]:
    """What a card says about images: one entry per data set and split, with hashes."""
    provenance = {p.name: p for p in labels.provenance}
    entries = []
    for key in sorted({(i.dataset, i.split) for i in labels}):
        images = [i for i in labels if (i.dataset, i.split) == key]
        source = next((p for p in provenance.values() if images[0].origin == p.name), None)
        entries.append(
            TrainingData(
                name=key[0],
                split=key[1],
                images=len(images),
                nuclei=sum(len(i.nuclei) for i in images),
                sha256=content_hash(images),
                licence=source.licence if source else "unknown",
                cite=source.cite if source else "",
            )
        )
    return entries
