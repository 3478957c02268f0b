"""From labels to a folder that a training command reads: what to train on, settings, command.

How to use::

    plan = plan_training(labels, task="detection", parent="nuclei-fast")
    plan.problem                    # "" or why it is too little to train on, with numbers
    plan.told                       # what is held out, or why nothing is
    run = write_run(plan, folder)   # labels/, settings.json
    run.arguments                   # what follows "nucbudget"; run.command for people

The folder stays: the command gives the same weights whenever it is run.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_nucbudget.errors import LabelSetError, OutputError, TrainingError
from napari_nucbudget.infer.crop_stain import with_stain
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.label_crops import (
    around_fields,
    around_nuclei,
    by_pixel_size,
    write_folders,
)
from napari_nucbudget.learn.splits import split_to_train
from napari_nucbudget.learn.transfer import FINE_TUNE_DETECTOR, classifier_settings
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainConfig

__all__ = ["LEAST_DOTS", "MODEL", "RunFolder", "Task", "TrainingPlan", "plan_training", "write_run"]

Task = Literal["detection", "classification"]

LEAST_DOTS = 20
"""Dots in the fields that are trained on; fewer say too little to move a detector."""
MOST_UNLABELLED = 5_000
"""Nuclei without a class that are learnt from; the seed draws whole neighbourhoods."""
MODEL = "model"
SETTINGS = "settings.json"
REPORTS = {"detection": 50, "classification": 20}
"""Epochs in a schedule: so many points has a curve, and so little is lost by a pause."""


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """What would be trained on, and how.

    Attributes
    ----------
    train, validation, test : LabelSet
        Crops of the labelled images; test crops are looked at by nobody but the
        comparison afterwards.
    unlabelled : LabelSet
        Nuclei to learn from without a class.
    parent : str
        Name or folder of the model to start from; empty for none.
    settings : dict
        For `TrainConfig`.
    told : str
        What is held out, or why nothing is.
    problem : str
        Why training would be refused, with numbers; empty where it would not.
    """

    task: Task
    train: LabelSet
    validation: LabelSet
    test: LabelSet
    unlabelled: LabelSet
    parent: str
    settings: Mapping[str, Any]
    told: str = ""
    problem: str = ""


@dataclass(frozen=True)
class RunFolder:
    """A written run: `arguments` follow ``nucbudget``."""

    folder: Path
    arguments: tuple[str, ...] = field(default_factory=tuple)

    @property
    def model(self) -> Path:
        """Where the model is, once an epoch has ended."""
        return self.folder / MODEL

    @property
    def command(self) -> str:
        """The line for a terminal, with a folder of its own for the same weights."""
        swapped = {str(self.model): str(self.model) + "-by-command"}
        return shlex.join(["nucbudget", *(swapped.get(a, a) for a in self.arguments)])


def plan_training(
    labels: LabelSet,
    *,
    task: Task,
    parent: str = "",
    method: str = "",
    unlabelled: LabelSet | None = None,
    settings: Mapping[str, Any] | None = None,
) -> TrainingPlan:
    """What training on `labels` would be; nothing is read or written.

    Parameters
    ----------
    labels : LabelSet
        Whole images, with the nuclei that people set or accepted.
    task : "detection" or "classification"
        A detector learns from the fields, a classifier from nuclei that have a class.
    parent : str
        Name or folder of the model to start from.
    method : str
        For a classifier; default fine-tune with a parent, else gamma-ladder.
    unlabelled : LabelSet, optional
        Nuclei whose class nobody said, such as proposals; those of images that are held
        out are not learnt from, and fine-tuning uses none.
    settings : mapping, optional
        What differs from the defaults.
    """
    chosen = dict(settings or {})
    seed = int(chosen.get("seed", 0))
    empty = replace(labels, images=())
    if task == "detection":
        crops = by_pixel_size(around_fields(labels), "labels")
        values = _detector_settings(chosen, bool(parent))
    else:
        method = method or ("fine-tune" if parent else "gamma-ladder")
        crops = by_pixel_size(around_nuclei(labels), "labels")
        values = _with_epochs(
            classifier_settings(method, chosen), chosen, REPORTS["classification"]
        )
    test = replace(crops, images=tuple(i for i in crops if i.split == "test"))
    used = replace(crops, images=tuple(i for i in crops if i.split != "test"))
    told, problem, more = "", "", empty
    train, validation = used, empty
    if task == "detection":
        problem = _too_few_dots(used)
        if not problem:
            try:
                train, validation, told = split_to_train(used, seed=seed, spare=bool(parent))
            except LabelSetError as error:
                problem = str(error)
    else:
        train = replace(used, images=tuple(i for i in used if i.split == "train"))
        validation = replace(used, images=tuple(i for i in used if i.split == "validation"))
        problem = _too_few_labels(train)
        if not len(validation):
            told = "No image is marked for validation: the schedule is fixed, all labels are used."
        if unlabelled is not None and values["method"] != "fine-tune":
            more = _drawn(unlabelled, seed)
    return TrainingPlan(
        task, train, validation, test, more, parent, TrainConfig.from_dict(values).to_dict(),
        told, problem or _no_parent(task, str(values.get("method", "")), parent),
    )  # fmt: skip


def write_run(
    plan: TrainingPlan, folder: Path, *, name: str = "", device: str = "auto"
) -> RunFolder:
    """Write labels and settings into a new folder, and give the command that trains on them.

    Raises
    ------
    TrainingError
        Where the plan has a problem.
    OutputError
        Where the folder holds something already, or cannot be written.
    """
    if plan.problem:
        raise TrainingError(plan.problem)
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; a run needs a folder of its own.")
    marked = [*plan.train, *(replace(i, split="validation") for i in plan.validation), *plan.test]
    labels = replace(plan.train, images=tuple(marked))
    data = write_folders(with_stain(labels) if plan.task == "classification" else labels, folder)
    values = json.dumps(dict(plan.settings), indent=1) + "\n"
    write_atomically(folder / SETTINGS, values.encode())
    kind = "detector" if plan.task == "detection" else "classifier"
    arguments = ["train", kind]
    for path in data:
        arguments += ["--data", str(path)]
    arguments += ["--out", str(folder / MODEL), "--config", str(folder / SETTINGS)]
    if plan.parent:
        arguments += ["--parent", plan.parent]
    if len(plan.unlabelled):
        for path in write_folders(with_stain(plan.unlabelled), folder):
            arguments += ["--unlabelled", str(path)]
    if name:
        arguments += ["--name", name]
    if device != "auto":
        arguments += ["--device", device]
    return RunFolder(folder, tuple(arguments))


def _detector_settings(chosen: Mapping[str, Any], fine_tune: bool) -> dict[str, Any]:
    defaults: dict[str, Any] = {"method": "detection", **(FINE_TUNE_DETECTOR if fine_tune else {})}
    return _with_epochs(defaults | dict(chosen), chosen, REPORTS["detection"])


def _with_epochs(values: dict[str, Any], chosen: Mapping[str, Any], reports: int) -> dict[str, Any]:
    """Shorter epochs than by default, and as many more of them before patience ends."""
    if "steps_per_epoch" in chosen:
        return values
    before = int(values.get("steps_per_epoch", TrainConfig.steps_per_epoch))
    steps = int(values.get("steps", TrainConfig.steps))
    epoch = max(1, min(before, steps // reports))
    patience = int(values.get("patience", TrainConfig.patience))
    values["steps_per_epoch"] = epoch
    if "patience" not in chosen:
        values["patience"] = patience * before // epoch
    return values


def _no_parent(task: Task, method: str, parent: str) -> str:
    if task == "classification" and method == "fine-tune" and not parent:
        return "Fine-tuning needs a classifier to start from; choose one, or the gamma-ladder."
    return ""


def _too_few_dots(labels: LabelSet) -> str:
    fields = sum(len(image.fields) for image in labels)
    dots = sum(len(image.in_fields()) for image in labels)
    if fields and dots >= LEAST_DOTS:
        return ""
    return (
        f"A detector learns from fields in which every nucleus has a dot: there are {fields} "
        f"fields with {dots} dots to train on, and at least one field and {LEAST_DOTS} dots are "
        "needed. Dot all nuclei of a region, and declare it under Fields in the annotate dock."
    )


def _too_few_labels(labels: LabelSet) -> str:
    names = labels.classes.names
    label = np.concatenate([np.zeros(0, np.int16), *(i.nuclei.label for i in labels)])
    counts = {name: int((label == index).sum()) for index, name in enumerate(names)}
    total, least = sum(counts.values()), 2 * len(names)
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    if missing := [name for name, count in counts.items() if not count]:
        return (
            f"A classifier needs labelled nuclei of every class: there are {told}. Label some as "
            f"{' and '.join(map(repr, missing))}, or take the class out of the scheme."
        )
    if total < least:
        return (
            f"{total} labels for {len(names)} classes are too few ({told}); {least} are the "
            "least, 40 a good start."
        )
    return ""


def _drawn(unlabelled: LabelSet, seed: int) -> LabelSet:
    """Up to `MOST_UNLABELLED` nuclei of training images, by whole crops in random order."""
    usable = tuple(image for image in unlabelled if image.split == "train")
    crops = by_pixel_size(around_nuclei(replace(unlabelled, images=usable)), "unlabelled")
    order = np.random.default_rng(seed).permutation(len(crops))
    kept, count = [], 0
    for index in order.tolist():
        if count < MOST_UNLABELLED:
            image = crops.images[index]
            none = np.full(len(image.nuclei), -1, np.int16)
            kept.append(replace(image, nuclei=replace(image.nuclei, label=none, prob=None)))
            count += len(image.nuclei)
    return replace(crops, images=tuple(kept))
