"""One cell of table 2: a detector learnt from the dots of a few fields, scored on unseen tissue."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_nucbudget.budget.cells import NO_LABEL, Cell
from napari_nucbudget.budget.parents import parent_model
from napari_nucbudget.budget.recipe import Recipe
from napari_nucbudget.core.metrics import detection_scores, pr_curve
from napari_nucbudget.core.sampling import budget_size, field_budget, small_fields
from napari_nucbudget.infer.evaluate import PAPER_RADIUS_UM, compare
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.scores import PRCurve
from napari_nucbudget.types.training import TrainingRun

__all__ = ["RECALL", "DetectionBench", "precision_at"]

RECALL = np.round(np.arange(0.0, 1.0001, 0.01), 2)
"""Recalls at which a cell keeps its precision, for figure 3."""


class DetectionBench:
    """Runs cells on one target: training on some fields of its training images only.

    The epoch and the threshold are chosen on the target's validation images,
    as in the paper, whatever the budget. Where the recipe names the parent's
    own organ as `source`, every cell that starts from the parent is scored
    there too.
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
        target, self._parent_labels = labels["target"], labels.get("parent")
        self._train_labels, self._validation = target.split("train"), target.split("validation")
        self._scored = {"target": target.split(split)}
        if recipe.source:
            self._scored["source"] = labels["source"]
        self._parent: Detector | None = None

    def run(self, cell: Cell) -> Generator[str, None, dict[str, Any]]:
        """What one cell finds; yields what it is doing."""
        if cell.budget != NO_LABEL:
            return (yield from self._train(cell))
        if cell.model:
            model = load_detector(cell.model, device=self.device)
        else:
            model = yield from self._parent_model()
        found = yield from self._score(model, list(self._scored))
        return {"labels": 0, "model": model.card.name, "train_seconds": 0.0, **found}

    def _parent_model(self) -> Generator[str, None, Detector]:
        if self._parent is None:
            model = yield from parent_model(
                self.recipe,
                self._parent_labels,
                out=self.out,
                threads=self.threads,
                device=self.device,
            )
            assert isinstance(model, Detector)
            self._parent = model
        return self._parent

    def _train(self, cell: Cell) -> Generator[str, None, dict[str, Any]]:
        recipe = self.recipe
        config = recipe.config(cell.row, cell.budget, seed=cell.seed)
        config = replace(config, threads=self.threads)
        side_um = recipe.field_um
        few = field_budget(self._train_labels, cell.budget, side_um=side_um, seed=cell.seed)
        every = len(small_fields(self._train_labels, side_um=side_um))
        parent = (yield from self._parent_model()) if recipe.uses_parent(cell.row) else None
        folder = self.out / "work" / cell.id
        shutil.rmtree(folder, ignore_errors=True)
        steps = fit(few, self._validation, config, out=folder, parent=parent, device=self.device)
        seconds = 0.0
        while True:
            started = time.monotonic()
            try:
                report = next(steps)
            except StopIteration as end:
                seconds += time.monotonic() - started
                run: TrainingRun = end.value
                break
            seconds += time.monotonic() - started
            yield f"step {report.step:,} of {report.steps:,}, validation F1 {report.score:.3f}"
        model = load_detector(folder, device=self.device, precision="float32")
        where = list(self._scored) if parent is not None else ["target"]
        found = yield from self._score(model, where)
        shutil.rmtree(folder, ignore_errors=True)
        best = max(run.reports, key=lambda r: r.score)
        return {
            "labels": budget_size(cell.budget, every),
            "dots": sum(len(image.in_fields()) for image in few),
            "images": len(few),
            "train_seconds": round(seconds, 2),
            "steps": run.reports[-1].step,
            "stopped": run.stopped,
            "best_step": best.step,
            **found,
        }

    def _score(self, model: Detector, where: list[str]) -> Generator[str, None, dict[str, Any]]:
        """Scores and thinned precision-recall curves by set of images."""
        scores, curves = {}, {}
        for name in where:
            labels: LabelSet = self._scored[name]
            yield f"scoring {len(labels)} images of the {name}"
            pairs = [compare(image, model) for image in labels]
            threshold = model.card.threshold
            scores[name] = detection_scores(
                pairs,
                threshold=0.5 if threshold is None else threshold,
                radius_um=PAPER_RADIUS_UM,
                mpp=model.card.input.mpp,
            ).to_dict()
            curves[name] = precision_at(pr_curve(pairs, radius=PAPER_RADIUS_UM))
        return {"scores": scores, "precision_at_recall": curves}


def precision_at(curve: PRCurve) -> list[float | None]:
    """Precision at each of `RECALL`, between the measured points; None beyond the last one."""
    if not len(curve.recall):
        return [None] * len(RECALL)
    # of several points with one recall, the first has the highest threshold and precision
    recall, first = np.unique(curve.recall, return_index=True)
    values = np.interp(RECALL, recall, curve.precision[first])
    reached = recall[-1] >= RECALL
    return [
        round(float(value), 4) if there else None
        for value, there in zip(values, reached, strict=True)
    ]
