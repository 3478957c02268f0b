"""The project store: one SQLite file that holds every label, edit and undo step.

How to use::

    from napari_nucbudget.project import open_project

    store = open_project("study.nucbudget", annotator="Ann")     # notices: store.notices
    image = store.add_image((4000, 6000), path="slide.tif", mpp=0.25)
    store.add_proposals(image, detection.nuclei, region=view, apart_px=8)

    ids = store.proposals(image, view, min_score=0.8)
    store.accept(ids)                                            # on disk when it returns
    store.relabel(ids[:12], "inflammatory")
    store.undo_label, store.undo()                               # "relabel 12 nuclei"
    with store.group("clean up"):                                # one step of undo
        store.delete(ids[12:14])
        store.add(image, (120.0, 80.5), "epithelial")

    store.nuclei(image, view)                                    # Nuclei on screen
    store.counts(image)["epithelial"].human
    store.add_field(image, view)                                 # everything in it is dotted
    labels = store.label_set(lambda i: open_image(store.image_file(i.id)[1], mpp=i.mpp))

    seen = store.revision                                        # later: what to draw anew
    notes = store.changes_since(seen)                            # None: everything
    store.close()

What a model proposed and nobody answered is a proposal; what a person set, moved, relabelled
or accepted is human, and only that leaves as truth. Ids are unique in a project and stay.
Everything raises errors of `napari_nucbudget.errors`; after an error nothing has changed.
Training runs, models used, checks and time spent: `Records(store)`. Two answers to one field:
``add(..., reading=1)``, `ProjectStore.readings` and `napari_nucbudget.core.agreement`.
"""

from napari_nucbudget.project.images import ProjectImage
from napari_nucbudget.project.opening import SUFFIX, open_project
from napari_nucbudget.project.reading import ClassCount, NucleusFacts, Reading
from napari_nucbudget.project.records import Checked, ModelUse, Records, Run, Spent
from napari_nucbudget.project.recovery import backups, bring_back, own_copy, restore
from napari_nucbudget.project.session import Note
from napari_nucbudget.project.state import Field
from napari_nucbudget.project.store import ProjectStore

__all__ = [
    "SUFFIX",
    "Checked",
    "ClassCount",
    "Field",
    "ModelUse",
    "Note",
    "NucleusFacts",
    "ProjectImage",
    "ProjectStore",
    "Reading",
    "Records",
    "Run",
    "Spent",
    "backups",
    "bring_back",
    "open_project",
    "own_copy",
    "restore",
]
