"""All that a project holds, as plain values that can be compared."""

from __future__ import annotations

from typing import Any

from napari_nucbudget.project import ProjectStore


def contents(store: ProjectStore) -> dict[str, Any]:
    """Nuclei of every status with all their columns, fields, classes, counts and undo labels."""
    nuclei = {}
    for image in store.images:
        for which in ("proposed", "human", "rejected"):
            for reading in (0, 1):
                found = store.nuclei(image.id, which=which, reading=reading)
                names = found.classes.to_names(found.label)
                prob = [None] * len(found) if found.prob is None else found.prob.tolist()
                for row, id in enumerate(found.id.tolist()):
                    facts = store.facts(id)
                    nuclei[id] = (
                        image.id,
                        which,
                        reading,
                        *found.yx[row].tolist(),
                        float(found.score[row]),
                        names[row],
                        found.origin[row],
                        repr(prob[row]),
                        facts.found_by,
                        facts.annotator,
                        facts.time,
                    )
    return {
        "nuclei": nuclei,
        "fields": store.fields(),
        "classes": store.classes,
        "images": store.images,
        "counts": {image.id: store.counts(image.id) for image in store.images},
        "undo": store.undo_label,
        "redo": store.redo_label,
    }
