"""What a person could do next, read from the state of the project: a function of facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_nucbudget.project import ModelUse, ProjectStore, Records
from napari_nucbudget.types.classes import UNLABELLED
from napari_nucbudget.ui.check_record import latest_check, summary

if TYPE_CHECKING:
    from napari_nucbudget.ui.session import Session

__all__ = ["GOOD_START", "Facts", "Step", "facts_of", "next_step"]

GOOD_START = 40
"""Labels with which a first classifier is worth its training, shared among the classes."""

Training = Literal["none", "running", "waiting", "done", "failed"]
DETECT, ANNOTATE, TEACH, CHECK, EXPORT = "Detect", "Annotate", "Teach", "Check", "Export"


@dataclass(frozen=True)
class Facts:
    """What decides on the next step.

    Attributes
    ----------
    image : bool
        An H&E image is open.
    mpp : bool
        Its pixel size is known.
    read_only : bool
    proposals : int
        Unanswered ones on the image.
    labels : mapping of class name to int
        Nuclei that people set or accepted, in the whole project.
    unlabelled : int
        Those without a class.
    fields : int
    training : {"none", "running", "waiting", "done", "failed"}
        The last run; one that waits was paused or cut off.
    applied : bool
        Its model was used since.
    checked : str
        The latest check of the models in use, in words; empty where there was none in the
        fields of now.
    docks : frozenset of str
        First words of the docks that there are.
    """

    image: bool = True
    mpp: bool = True
    read_only: bool = False
    proposals: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    unlabelled: int = 0
    fields: int = 0
    training: Training = "none"
    applied: bool = False
    checked: str = ""
    docks: frozenset[str] = frozenset((DETECT, ANNOTATE, TEACH, CHECK, EXPORT))

    @property
    def human(self) -> int:
        return sum(self.labels.values()) + self.unlabelled


@dataclass(frozen=True)
class Step:
    """A sentence, and the first word of the dock in which it is done; empty for none."""

    sentence: str
    dock: str = ""


def next_step(facts: Facts) -> Step:
    """The first of the steps from an image to a checked model that is still to be done."""
    if not facts.image:
        return Step("Open an H&E image: drop a file here, or take one from File > Open Sample.")
    if facts.read_only:
        return Step("The project is open elsewhere: here it can be looked at and exported.", EXPORT)
    if not facts.mpp:
        return Step("Type the pixel size of the image, in µm per pixel.", DETECT)
    if not facts.proposals and not facts.human:
        return Step("Detect the nuclei in what is on screen, then keep them as proposals.", DETECT)
    missing = _missing(facts.labels)
    typed = sum(facts.labels.values())
    if TEACH in facts.docks and facts.training == "none" and facts.fields and not typed:
        return Step(f"Fine-tune the detector on {_count(facts.fields, 'field')}.", TEACH)
    if missing and facts.training == "none":
        return Step(_label(facts, missing), ANNOTATE)
    if TEACH in facts.docks:
        if facts.training == "running":
            return Step("A model is being trained. Annotating can go on meanwhile.", ANNOTATE)
        if facts.training == "waiting":
            return Step("A training waits to go on: continue or cancel it.", TEACH)
        if facts.training == "failed":
            return Step("The last training did not end well: see why, and train again.", TEACH)
        if facts.training == "none":
            return Step(f"Fine-tune a model on the {typed:,} labelled nuclei.", TEACH)
        if not facts.applied:
            return Step("Apply the trained model, or roll it back.", TEACH)
    if CHECK in facts.docks:
        if not facts.fields:
            return Step(
                "Declare a field in which every nucleus has a dot: only there a model can be "
                "checked.",
                ANNOTATE,
            )
        if facts.checked:
            return Step(
                f"Checked {facts.checked}. Export, or label where it errs and teach again.", EXPORT
            )
        return Step(f"Check the model in {_count(facts.fields, 'field')}; then export.", CHECK)
    return Step(f"Export the {_count(facts.human, 'labelled nucleus', 'labelled nuclei')}.", EXPORT)


def _missing(labels: Mapping[str, int]) -> dict[str, int]:
    """How many labels each class lacks for a good start."""
    each = -(-GOOD_START // max(len(labels), 1))
    return {name: each - count for name, count in labels.items() if count < each}


def _label(facts: Facts, missing: Mapping[str, int]) -> str:
    each = -(-GOOD_START // len(facts.labels))
    more = " and ".join(f"{count:,} more {name}" for name, count in missing.items())
    if not any(facts.labels.values()):
        how = "Accept or correct proposals, or click nuclei" if facts.proposals else "Click nuclei"
        return f"{how}, and give them classes: {each} of each make a good start."
    return f"Label {more}: {each} of each class make a good start."


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def facts_of(session: Session, docks: frozenset[str], *, trains: bool) -> Facts:
    """The facts of a session as it is now; `trains` says whether a training process runs."""
    store = session.store
    if session.current is None:
        return Facts(image=False, docks=docks)
    mpp = session.mpp_of() is not None
    if store is None:
        return Facts(mpp=mpp, docks=docks)
    labels = {name: count.human for name, count in store.counts().items()}
    unlabelled = labels.pop(UNLABELLED, 0)
    image = session.image
    here = {} if image is None else store.counts(image)
    training, applied = _training(store, trains)
    check = latest_check(store)
    return Facts(
        mpp=mpp,
        read_only=session.read_only,
        proposals=sum(count.proposed for count in here.values()),
        labels=labels,
        unlabelled=unlabelled,
        fields=len(store.fields()),
        training=training,
        applied=applied,
        checked="" if check is None else summary(check),
        docks=docks,
    )


def _training(store: ProjectStore, trains: bool) -> tuple[Training, bool]:
    """State of the last run that left a model or could not, and whether its model was used."""
    records = Records(store)
    runs = [run for run in records.runs() if run.state != "cancelled" or run.result.get("model")]
    if not runs:
        return "none", False
    last = runs[0]
    if last.state == "running":
        there = Path(last.folder).is_dir()  # what was deleted cannot go on
        return "running" if trains else "waiting" if there else "failed", False
    model = last.result.get("model")
    if not model:
        return "failed", False
    return "done", any(_is(use, Path(model)) for use in records.models())


def _is(use: ModelUse, model: Path) -> bool:
    """Whether what was applied is the model in this folder, by path or by the run's name."""
    return use.path == str(model) or use.name in (str(model), model.name, model.parent.name)
