"""How sure a model is of what it proposes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["certainty"]


def certainty(nuclei: Nuclei) -> NDArray[np.float32]:
    """(N,) from 0, a coin's toss, to 1: of being a nucleus, and of its class, the lower one.

    Existence: how far the score lies from 0.5. Class: the margin between the two likeliest
    classes, where there are probabilities.
    """
    sure: NDArray[np.floating] = 2 * np.abs(nuclei.score - 0.5)
    if nuclei.prob is not None and nuclei.prob.shape[1] > 1:
        ranked = np.sort(nuclei.prob, axis=1)
        margin = ranked[:, -1] - ranked[:, -2]
        sure = np.where(np.isfinite(margin), np.minimum(sure, margin), sure)
    return np.asarray(sure, np.float32)
