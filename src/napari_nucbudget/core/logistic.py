"""Logistic regression whose penalty is chosen inside the labels that it learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEW_FOLDS_STRENGTH", "STRENGTHS", "fit_logistic"]

STRENGTHS = tuple(10.0 ** np.arange(-4, 1.01, 0.5))
"""Inverse strengths of the L2 penalty to choose from."""
FEW_FOLDS_STRENGTH = 0.01
"""What is taken where a class has one label only, so that no fold can be made."""


def fit_logistic(x: NDArray[np.float64], label: NDArray[Any], *, seed: int = 0) -> Any:
    """scikit-learn logistic regression with L2 penalty, fitted.

    The strength with the least cross entropy in up to five stratified folds
    is taken; where a class has one label only, no fold can be made, and a
    strong penalty is.

    Parameters
    ----------
    x : (N, D), standardised
    label : (N,) ints
    seed : int
        Draws the folds; scikit-learn takes its last 32 bits.

    Returns
    -------
    sklearn.linear_model.LogisticRegression
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    fewest = int(np.bincount(label)[np.unique(label)].min())
    if fewest < 2:
        return LogisticRegression(C=FEW_FOLDS_STRENGTH, max_iter=2000).fit(x, label)
    folds = StratifiedKFold(min(5, fewest), shuffle=True, random_state=seed % 2**32)
    search = GridSearchCV(
        LogisticRegression(max_iter=2000),
        {"C": list(STRENGTHS)},
        scoring="neg_log_loss",
        cv=folds,
    )
    return search.fit(x, label).best_estimator_
