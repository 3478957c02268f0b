"""Which proposals hit which nuclei: one to one, within a radius."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["match"]


def match(
    predicted: NDArray[np.floating[Any]], truth: NDArray[np.floating[Any]], *, radius: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Largest one-to-one matching within `radius`, of least total distance.

    Optimal, not greedy: first as many pairs as possible, and among those the
    nearest ones. Section 3.1 of the paper counts a proposal within 6 px of a
    dot as a hit; without one-to-one, two proposals on one nucleus would both
    count.

    Parameters
    ----------
    predicted : (N, 2) floats
    truth : (M, 2) floats
    radius : float
        In the units of the coordinates; a distance equal to it still matches.

    Returns
    -------
    (K,) indices into `predicted`, (K,) into `truth`, (K,) distances.
    """
    none = np.zeros(0, dtype=np.intp)
    if not len(predicted) or not len(truth):
        return none, none, np.zeros(0)
    found, real = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    near = cKDTree(found).sparse_distance_matrix(
        cKDTree(real), np.nextafter(radius, np.inf), output_type="ndarray"
    )
    near = near[near["v"] <= radius]
    if not len(near):
        return none, none, np.zeros(0)
    # Clusters of points within reach of one another are independent problems.
    n, m = len(found), len(real)
    graph = coo_array((np.ones(len(near)), (near["i"], near["j"] + n)), shape=(n + m, n + m))
    cluster = connected_components(graph, directed=False)[1][near["i"]]
    order = np.argsort(cluster, kind="stable")
    near = near[order]
    cuts = np.flatnonzero(np.diff(cluster[order])) + 1
    rows, columns, distances = [], [], []
    for pairs in np.split(near, cuts):
        i, where_i = np.unique(pairs["i"], return_inverse=True)
        j, where_j = np.unique(pairs["j"], return_inverse=True)
        # A pair in reach is worth more than any sum of distances.
        worth = radius * (min(len(i), len(j)) + 1) + 1.0
        cost = np.zeros((len(i), len(j)))
        cost[where_i, where_j] = pairs["v"] - worth
        for a, b in zip(*linear_sum_assignment(cost), strict=True):
            if cost[a, b] < 0:
                rows.append(i[a])
                columns.append(j[b])
                distances.append(cost[a, b] + worth)
    return np.array(rows, np.intp), np.array(columns, np.intp), np.array(distances)
