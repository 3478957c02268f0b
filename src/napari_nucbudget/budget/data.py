"""The label sets of an experiment, and the hashes that tell them from others of the same name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from napari_nucbudget.budget.recipe import Recipe
from napari_nucbudget.io.label_hashes import arrangement, content_hash
from napari_nucbudget.io.label_sets import read_label_set, read_label_sets
from napari_nucbudget.types.labels import SPLITS, LabelSet

__all__ = ["data_facts", "read_data"]


def read_data(recipe: Recipe, data: Path, *, split: str) -> dict[str, LabelSet]:
    """Label sets below `data`: ``target``, and ``source`` and ``parent`` where there are such.

    Raises
    ------
    LabelSetError
        Where a folder is absent or cannot be read.
    """
    splits = tuple(dict.fromkeys(("train", "validation", split)))
    labels = {"target": read_label_set(data / recipe.target, splits=splits)}
    if recipe.source:
        labels["source"] = read_label_set(data / recipe.source, splits=(split,))
    if recipe.parent is not None and recipe.parent.data:
        folders: list[Path | str] = [data / name for name in recipe.parent.data]
        labels["parent"] = read_label_sets(folders, splits=("train", "validation"))
    return labels


def data_facts(labels: Mapping[str, LabelSet]) -> dict[str, str]:
    """Hash of all that is learnt from or scored on, by label set and split."""
    facts = {}
    for name, one in labels.items():
        for split in SPLITS:
            images = [image for image in one if image.split == split]
            if not images:
                continue
            whole = json.dumps([content_hash(images), arrangement(images)])
            facts[f"{name}_{split}_set_sha256"] = hashlib.sha256(whole.encode()).hexdigest()
    return facts
