"""What was done with a project: training runs, models, and the time and labels it took."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_nucbudget.errors import ProjectError
from napari_nucbudget.project.store import ProjectStore
from napari_nucbudget.project.table import ACCEPTED

__all__ = ["Checked", "ModelUse", "Records", "Run", "Spent"]

RunState = Literal["running", "done", "cancelled", "failed"]


@dataclass(frozen=True)
class ModelUse:
    """A model that was applied to the project."""

    name: str
    task: str
    path: str | None
    weights_sha256: str | None
    time: float


@dataclass(frozen=True)
class Run:
    """A training run; `ended` is None while it runs, or if it was cut off."""

    id: int
    started: float
    ended: float | None
    state: RunState
    folder: str
    config: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Checked:
    """Models that were compared with the dots in fields.

    Attributes
    ----------
    time : float
        Seconds since 1970.
    detector, classifier : str
        Names; the latter is empty where only the detector was checked.
    detector_sha256, classifier_sha256 : str or None
        Of their weights.
    figures : mapping of str to float
        ``threshold``, ``radius_um``, ``precision``, ``recall``, ``f1``, ``dots``, ``images``,
        ``fields``, and with a classifier ``weighted_f1``.
    """

    time: float
    detector: str
    classifier: str
    detector_sha256: str | None
    classifier_sha256: str | None
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Spent:
    """What one person has put into the project."""

    annotator: str
    seconds: float
    labels: int
    """Nuclei that stand as this person set, corrected or accepted them last."""


class Records:
    """Tables beside the nuclei: written at once, not undone."""

    def __init__(self, store: ProjectStore) -> None:
        self._store = store

    def start_run(self, folder: str, config: Mapping[str, Any]) -> int:
        """Id of a new training run that writes into `folder`; `config` as JSON can hold it."""
        with self._store.transaction() as connection:
            row = connection.execute(
                "INSERT INTO training_runs (started, state, folder, config, result) "
                "VALUES (?, 'running', ?, ?, '{}')",
                (time.time(), folder, json.dumps(dict(config))),
            )
            return int(row.lastrowid or 0)

    def end_run(self, id: int, state: RunState, result: Mapping[str, Any]) -> None:
        """Note how a run ended, with its scores or what went wrong."""
        with self._store.transaction() as connection:
            row = connection.execute(
                "UPDATE training_runs SET ended = ?, state = ?, result = ? WHERE id = ?",
                (time.time(), state, json.dumps(dict(result)), id),
            )
            if not row.rowcount:
                raise ProjectError(f"The project knows no training run {id!r}.")

    def runs(self) -> list[Run]:
        """All training runs, the newest first."""
        rows = self._store.select(
            "SELECT id, started, ended, state, folder, config, result FROM training_runs "
            "ORDER BY id DESC"
        )
        return [
            Run(id, started, ended, state, folder, json.loads(config), json.loads(result))
            for id, started, ended, state, folder, config, result in rows
        ]

    def use_model(
        self, name: str, task: str, *, path: str | None = None, weights_sha256: str | None = None
    ) -> None:
        """Note that a model was applied; the same one is noted once, with its last time."""
        model = (name, task, path, weights_sha256)
        used = [(m.name, m.task, m.path, m.weights_sha256) for m in self.models()]
        if used and used[-1] == model:
            return
        with self._store.transaction() as connection:
            connection.execute(
                "DELETE FROM models_used WHERE name IS ? AND task IS ? AND path IS ? "
                "AND weights_sha256 IS ?",
                model,
            )
            connection.execute(
                "INSERT INTO models_used (name, task, path, weights_sha256, time) "
                "VALUES (?, ?, ?, ?, ?)",
                (*model, time.time()),
            )

    def models(self) -> list[ModelUse]:
        """Models that were applied, in the order of their last use."""
        rows = self._store.select(
            "SELECT name, task, path, weights_sha256, time FROM models_used ORDER BY id"
        )
        return [ModelUse(*row) for row in rows]

    def note_check(
        self,
        figures: Mapping[str, float],
        *,
        detector: str,
        detector_sha256: str | None = None,
        classifier: str = "",
        classifier_sha256: str | None = None,
    ) -> None:
        """Note the figures of models that were checked now; see `Checked`."""
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO checks (time, detector, classifier, detector_sha256, "
                "classifier_sha256, figures) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *(time.time(), detector, classifier, detector_sha256, classifier_sha256),
                    json.dumps(dict(figures)),
                ),
            )

    def checks(self) -> list[Checked]:
        """All checks, the newest first."""
        rows = self._store.select(
            "SELECT time, detector, classifier, detector_sha256, classifier_sha256, figures "
            "FROM checks ORDER BY id DESC"
        )
        return [
            Checked(when, detector, classifier, first, second, json.loads(figures))
            for when, detector, classifier, first, second, figures in rows
        ]

    def log_time(self, seconds: float, image: int | None = None) -> None:
        """Add time that the present annotator spent, on an image where one is given."""
        annotator = self._store._annotator_key()
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO time_spent (annotator, image, seconds, time) VALUES (?, ?, ?, ?)",
                (annotator, image, float(seconds), time.time()),
            )

    def spent(self) -> list[Spent]:
        """Time and labels of every annotator, in the order of their first edit."""
        seconds = dict(
            self._store.select("SELECT annotator, sum(seconds) FROM time_spent GROUP BY annotator")
        )
        people = self._store.annotators
        labels = np.zeros(len(people), np.int64)
        for table in self._store._state.tables.values():
            who = table["annotator"][table["status"] == ACCEPTED]
            labels += np.bincount(who[who >= 0], minlength=len(people))
        return [
            Spent(name, float(seconds.get(key, 0.0)), int(labels[key]))
            for key, name in enumerate(people)
        ]
