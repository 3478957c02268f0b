"""One cell of table 3: a classifier learnt from one draw of labels, scored on unseen tissue."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.budget.cells import NO_LABEL, Cell
from napari_nucbudget.budget.parents import parent_model
from napari_nucbudget.budget.prepare import in_memory
from napari_nucbudget.budget.recipe import DESCRIPTORS, Recipe
from napari_nucbudget.budget.scoring import NucleiToScore
from napari_nucbudget.core.descriptors import DESCRIPTOR_SIDE, describe
from napari_nucbudget.core.sampling import budget_size, label_budget
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.learn.patch_data import nucleus_patches
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.library import load_classifier
from napari_nucbudget.nets.patch_cnn import PatchCnn
from napari_nucbudget.types.card import StainReference
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.training import TrainingRun

__all__ = ["ClassificationBench"]


class ClassificationBench:
    """Runs cells on one target, whose images are read and cut once.

    One training gives both ways of choosing its weights: the last ones, after
    a fixed schedule, for which no validation label is needed (`last`); and
    those of the epoch that scores best on the target's validation labels, as
    in the paper (`validation`).
    """

    def __init__(
        self,
        recipe: Recipe,
        labels: Mapping[str, LabelSet],
        *,
        out: Path,
        split: str,
        threads: int,
        device: str,
    ) -> None:
        self.recipe, self.out, self.threads, self.device = recipe, out, threads, device
        self._labels, self._parent_labels = labels["target"], labels.get("parent")
        self._scored_split = split
        self.prepared = cache(self._prepare)
        self.scored = cache(self._nuclei)
        self.described = cache(self._describe)
        self._parent: Classifier | None = None

    def _prepare(self, split: str, mpp: float) -> LabelSet:
        return in_memory(self._labels.split(split), mpp=mpp)

    def _nuclei(
        self, split: str, mpp: float, patch: int | None, stain: StainReference | None = None
    ) -> NucleiToScore:
        labels = self._labels.split(split)
        return NucleiToScore(labels, mpp=mpp, patch=patch, stain=stain)

    def _scored_by(self, split: str, model: Classifier) -> NucleiToScore:
        """The nuclei of a split as a classifier takes them."""
        spec = model.card.input
        patch = None if model.takes_windows else model.patch
        return self.scored(split, spec.mpp, patch, spec.stain)

    def _scores(self, nuclei: NucleiToScore, model: Classifier) -> dict[str, Any]:
        """``last`` as the recipe says; where that averages, also ``once``."""
        scores = {"last": nuclei.score(model, average=self.recipe.average).to_dict()}
        if self.recipe.average:
            scores["once"] = nuclei.score(model, average=False).to_dict()
        return scores

    def _describe(self, split: str, mpp: float) -> NDArray[np.float32]:
        """Descriptors of all training nuclei, or of those to score."""
        if split != "train":
            return describe(self.scored(split, mpp, PatchCnn.patch).wide)
        pool = nucleus_patches(self.prepared("train", mpp), mpp=mpp, side=DESCRIPTOR_SIDE)
        return describe(pool.rgb)

    def run(self, cell: Cell) -> Generator[str, None, dict[str, Any]]:
        """What one cell finds; yields what it is doing."""
        if cell.budget == NO_LABEL:
            return (yield from self._zero_label(cell))
        mpp = self.recipe.config(self.recipe.baseline, cell.budget).mpp
        row = self.recipe.methods.get(cell.row)
        if row is not None:
            mpp = self.recipe.config(cell.row, cell.budget).mpp
        train = self.prepared("train", mpp)
        known = sum(int((image.nuclei.label >= 0).sum()) for image in train)
        count = budget_size(cell.budget, known)
        few = label_budget(train, count, seed=cell.seed)
        if cell.row == DESCRIPTORS:
            result = self._descriptors(few)
        else:
            result = yield from self._train(cell, few)
        return {"labels": count, **result}

    def _zero_label(self, cell: Cell) -> Generator[str, None, dict[str, Any]]:
        model = load_classifier(cell.model, device=self.device) if cell.model else None
        if model is None:
            model = yield from self.parent()
        yield "scoring"
        nuclei = self._scored_by(self._scored_split, model)
        scores = self._scores(nuclei, model)
        return {"labels": 0, "model": model.card.name, "scores": scores, "train_seconds": 0.0}

    def _descriptors(self, few: LabelSet) -> dict[str, Any]:
        from napari_nucbudget.budget.logistic import descriptor_probabilities

        mpp = few.images[0].mpp
        label = np.concatenate([image.nuclei.label for image in few])
        every = self.described("train", mpp)
        wanted = self.described(self._scored_split, mpp)
        nuclei = self.scored(self._scored_split, mpp, PatchCnn.patch)
        started = time.monotonic()
        prob = descriptor_probabilities(every, label, wanted, classes=len(few.classes))
        seconds = time.monotonic() - started
        scores = {"last": nuclei.score_probabilities(prob).to_dict()}
        return {"scores": scores, "train_seconds": seconds}

    def parent(self) -> Generator[str, None, Classifier]:
        """The recipe's parent, trained first where it is not there yet."""
        if self._parent is None:
            model = yield from parent_model(
                self.recipe,
                self._parent_labels,
                out=self.out,
                threads=self.threads,
                device=self.device,
            )
            assert isinstance(model, Classifier)
            self._parent = model
        return self._parent

    def _train(self, cell: Cell, few: LabelSet) -> Generator[str, None, dict[str, Any]]:
        config = self.recipe.config(cell.row, cell.budget, seed=cell.seed)
        config = replace(config, threads=self.threads)
        parent = (yield from self.parent()) if self.recipe.uses_parent(cell.row) else None
        folder = self.out / "work" / cell.id
        shutil.rmtree(folder, ignore_errors=True)
        nothing = LabelSet((), few.classes, few.provenance)
        steps = fit(few, nothing, config, out=folder, parent=parent, device=self.device)
        seconds, best, curve = 0.0, -1.0, []
        chosen: Classifier | None = None
        while True:
            started = time.monotonic()
            try:
                report = next(steps)
            except StopIteration as end:
                seconds += time.monotonic() - started
                run: TrainingRun = end.value
                break
            seconds += time.monotonic() - started
            model = Classifier.load(folder, device=self.device)
            held = self._scored_by("validation", model)
            score = held.score(model, average=False).weighted_f1
            curve.append({"step": report.step, "validation_f1": round(score, 4)})
            if score > best:
                best, chosen, best_step = score, model, report.step
            yield f"step {report.step:,} of {report.steps:,}, validation {score:.3f}"
        last = Classifier.load(folder, device=self.device)
        yield "scoring"
        nuclei = self._scored_by(self._scored_split, last)
        scores = self._scores(nuclei, last)
        if chosen is None or best_step == run.reports[-1].step:
            scores["validation"] = scores["last"]
        else:
            scores["validation"] = nuclei.score(chosen, average=self.recipe.average).to_dict()
        shutil.rmtree(folder, ignore_errors=True)
        held = self._scored_by("validation", last)
        return {
            "scores": scores,
            "train_seconds": round(seconds, 2),
            "steps": run.reports[-1].step,
            "stopped": run.stopped,
            "best_step": best_step,
            "validation_labels": int(np.size(held.label)),
            "curve": curve,
        }
