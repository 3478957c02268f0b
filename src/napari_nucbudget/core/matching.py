"""Which proposals hit which nuclei: one to one, within a radius."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["match", "pairs_within"]


def pairs_within(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], *, radius: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Every pair of points at most `radius` apart: indices into both, and distances.

    The one definition of "within the radius": matching and the
    precision-recall curve must not differ on a distance equal to it.
    """
    if not len(first) or not len(second):
        none = np.zeros(0, dtype=np.intp)
        return none, none, np.zeros(0)
    near = cKDTree(np.asarray(first, np.float64)).sparse_distance_matrix(
        cKDTree(np.asarray(second, np.float64)), np.nextafter(radius, np.inf), output_type="ndarray"
    )
    near = near[near["v"] <= radius]
    return near["i"], near["j"], near["v"]


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
    near_i, near_j, near_v = pairs_within(predicted, truth, radius=radius)
    if not len(near_v):
        return near_i, near_j, near_v
    # Clusters of points within reach of one another are independent problems.
    n, m = len(predicted), len(truth)
    graph = coo_array((np.ones(len(near_v)), (near_i, near_j + n)), shape=(n + m, n + m))
    cluster = connected_components(graph, directed=False)[1][near_i]
    order = np.argsort(cluster, kind="stable")
    cuts = np.flatnonzero(np.diff(cluster[order])) + 1
    rows, columns, distances = [], [], []
    for part in np.split(order, cuts):
        i, where_i = np.unique(near_i[part], return_inverse=True)
        j, where_j = np.unique(near_j[part], return_inverse=True)
        # A pair in reach is worth more than any sum of distances.
        worth = radius * (min(len(i), len(j)) + 1) + 1.0
        cost = np.zeros((len(i), len(j)))
        cost[where_i, where_j] = near_v[part] - worth
        for a, b in zip(*linear_sum_assignment(cost), strict=True):
            if cost[a, b] < 0:
                rows.append(i[a])
                columns.append(j[b])
                distances.append(cost[a, b] + worth)
    return np.array(rows, np.intp), np.array(columns, np.intp), np.array(distances)
