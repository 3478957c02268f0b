"""The cheap baseline: handcrafted descriptors and regularised logistic regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.logistic import fit_logistic

__all__ = ["descriptor_probabilities"]


def descriptor_probabilities(
    every: NDArray[np.float32],
    label: NDArray[np.int16],
    wanted: NDArray[np.float32],
    *,
    classes: int,
) -> NDArray[np.float64]:
    """Class probabilities of nuclei from their descriptors, learnt from labelled ones.

    Parameters
    ----------
    every : (N, D)
        Descriptors of all training nuclei, over which they are standardised.
    label : (N,) ints
        -1 where a nucleus has no label.
    wanted : (M, D)
        Descriptors of the nuclei to type.
    classes : int

    Returns
    -------
    (M, classes) float64
    """
    mean = every.mean(axis=0, dtype=np.float64)
    sd = np.maximum(every.std(axis=0, dtype=np.float64), 1e-6)
    known = label >= 0
    model = fit_logistic((every[known] - mean) / sd, label[known])
    prob = np.zeros((len(wanted), classes))
    prob[:, model.classes_.astype(int)] = model.predict_proba((wanted - mean) / sd)
    return prob
