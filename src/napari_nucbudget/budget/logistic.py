"""The cheap baseline: handcrafted descriptors and regularised logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.descriptors import DESCRIPTOR_SIDE, describe
from napari_nucbudget.learn.patch_data import nucleus_patches
from napari_nucbudget.types.labels import LabelSet

__all__ = ["STRENGTHS", "descriptor_probabilities", "fit_logistic"]

STRENGTHS = tuple(10.0 ** np.arange(-4, 1.01, 0.5))
"""Inverse strengths of the L2 penalty to choose from."""


def descriptor_probabilities(
    labels: LabelSet, patches: NDArray[Any], *, mpp: float
) -> NDArray[np.float64]:
    """Class probabilities of patches, learnt from the labelled nuclei of a label set.

    Parameters
    ----------
    labels : LabelSet
        Descriptors are standardised over all of its nuclei, labelled or not.
    patches : (N, 31, 31, 3), 0 .. 255
    mpp : float

    Returns
    -------
    (N, C) float64
    """
    own = nucleus_patches(labels, mpp=mpp, side=DESCRIPTOR_SIDE)
    known = own.label >= 0
    every = describe(own.rgb).astype(np.float64)
    mean, sd = every.mean(axis=0), np.maximum(every.std(axis=0), 1e-6)
    model = fit_logistic((every[known] - mean) / sd, own.label[known])
    found = model.predict_proba((describe(patches) - mean) / sd)
    prob = np.zeros((len(patches), len(labels.classes)))
    prob[:, model.classes_.astype(int)] = found
    return prob


def fit_logistic(x: NDArray[np.float64], label: NDArray[np.int16], *, seed: int = 0) -> Any:
    """scikit-learn logistic regression whose penalty is chosen inside these labels.

    The strength with the least cross entropy in up to five stratified folds
    is taken; where a class has one label only, no fold can be made, and a
    strong penalty is.

    Parameters
    ----------
    x : (N, D), standardised
    label : (N,) ints
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    fewest = int(np.bincount(label)[np.unique(label)].min())
    if fewest < 2:
        return LogisticRegression(C=0.01, max_iter=2000).fit(x, label)
    folds = StratifiedKFold(min(5, fewest), shuffle=True, random_state=seed)
    search = GridSearchCV(
        LogisticRegression(max_iter=2000),
        {"C": list(STRENGTHS)},
        scoring="neg_log_loss",
        cv=folds,
    )
    return search.fit(x, label).best_estimator_
