"""Which cells lie where: candidates by chance, thinned so that nuclei touch but rarely overlap."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_nucbudget.io.samples.anatomy import Anatomy, survey
from napari_nucbudget.io.samples.noise import hashed, smooth_noise, uniform

__all__ = [
    "DEBRIS",
    "EPITHELIAL",
    "INFLAMMATORY",
    "MISCELLANEOUS",
    "RED_CELL",
    "Cells",
    "grow_cells",
]

EPITHELIAL, INFLAMMATORY, MISCELLANEOUS, RED_CELL, DEBRIS = range(5)
"""Kinds: the first three are labels of the default class scheme, the others are no nuclei."""

BLOCK = 32.0
"""Side of the squares in which candidates are drawn, µm."""
CANDIDATES = (110, 90, 40, 20, 12)
"""Candidates of each kind in a block; far more than fit."""
ROUNDS = 6
HALO = 96.0
"""How far, in µm, a candidate can matter to another one through the rounds of thinning."""
CLOSEST = 4.0
"""Centres never lie closer than this, µm."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells as a struct of arrays of length N.

    Attributes
    ----------
    y, x : centre, µm
    a, b : semi-axes of the nucleus, µm; a >= b
    angle : of the long axis against the x axis, towards y; radian
    kind : see `EPITHELIAL` and its neighbours
    key : random name from which everything else about the cell follows
    gland : name of the nearest gland
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    angle: NDArray[np.float64]
    kind: NDArray[np.int64]
    key: NDArray[np.int64]
    gland: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    def select(self, which: NDArray[Any]) -> Cells:
        return Cells(*(getattr(self, f.name)[which] for f in fields(self)))


def grow_cells(box: tuple[float, float, float, float], *, seed: int) -> Cells:
    """Cells whose centre lies in a box (top, left, bottom, right) in µm, in order of place."""
    top, left, bottom, right = box
    wide = (top - HALO, left - HALO, bottom + HALO, right + HALO)
    parts, priorities = [], []
    for kind in range(len(CANDIDATES)):
        cells, priority = _candidates(wide, kind, seed)
        parts.append(cells)
        priorities.append(priority)
    cells = Cells(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Cells)))
    kept = cells.select(_thin(cells, np.concatenate(priorities)))
    inside = (kept.y >= top) & (kept.y < bottom) & (kept.x >= left) & (kept.x < right)
    kept = kept.select(inside)
    return kept.select(np.lexsort((kept.x, kept.y)))


def _candidates(
    box: tuple[float, float, float, float], kind: int, seed: int
) -> tuple[Cells, NDArray[np.float64]]:
    """Candidates of one kind that fit the anatomy, and which of two that collide has precedence."""
    top, left, bottom, right = (int(np.floor(edge / BLOCK)) for edge in box)
    rows, columns, numbers = np.meshgrid(
        np.arange(top, bottom + 1),
        np.arange(left, right + 1),
        np.arange(CANDIDATES[kind]),
        indexing="ij",
    )
    key = hashed(seed + 101 + kind, rows, columns, numbers).astype(np.int64).ravel()
    y = (rows.ravel() + uniform(seed, key, 1)) * BLOCK
    x = (columns.ravel() + uniform(seed, key, 2)) * BLOCK
    where = survey(y, x, seed=seed)
    wanted, priority = _fitness(where, y, x, key, kind, seed)
    y, x, key, priority = y[wanted], x[wanted], key[wanted], priority[wanted]
    gland = where.gland[wanted]
    a, b = _size(kind, key, gland, seed)
    angle = _orientation(kind, y, x, key, seed)
    return Cells(y, x, a, b, angle, np.full(len(y), kind), key, gland), priority


def _fitness(
    at: Anatomy, y: NDArray[Any], x: NDArray[Any], key: NDArray[np.int64], kind: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    chance, priority = uniform(seed, key, 3), uniform(seed, key, 4)
    stroma = (at.depth < -2.5) & (at.fat < -3.0) & (at.glass < -4.0)
    if kind == EPITHELIAL:
        # Nuclei stand in a basal row, and in some glands in a second one above it.
        first = 6.0 + 1.5 * smooth_noise(seed + 31, y / 14, x / 14)
        rows = uniform(seed, at.gland, 31) < 0.6
        off_row = np.abs(at.depth - first)
        off_row = np.where(rows, np.minimum(off_row, np.abs(at.depth - first - 7.5)), off_row)
        solid = at.thickness > 100
        fits = (at.depth > 3.6) & (at.depth < at.thickness - 4.5) & (at.glass < -4.0)
        wanted = fits & (solid | (off_row < 2.4) | (chance < 0.015))
        # In nests the cells lie looser, with cytoplasm between the nuclei.
        wanted &= ~solid | (chance < 0.4)
        priority = priority - np.where(solid, 0.0, 0.5 * off_row)
    elif kind == INFLAMMATORY:
        density = np.clip((at.lymph - 0.28) * 1.6, 0.0, 0.6)
        scattered = 0.004 + 0.006 * (at.looseness > 0)
        wanted = stroma & (chance < density + scattered)
        inner = (at.depth > 3.0) & (at.depth < at.thickness - 4) & (at.glass < -4.0)
        wanted |= inner & (chance < 0.0012)
    elif kind == MISCELLANEOUS:
        wanted = stroma & (chance < 0.055 + 0.03 * at.looseness)
        wanted |= stroma & (at.depth > -6.0) & (chance < 0.16)
        priority = priority + 0.3
    elif kind == DEBRIS:
        wanted = (stroma & (chance < 0.05)) | ((at.depth > 2) & (chance < 0.03))
        wanted &= at.glass < -4.0
        priority = priority - 1.0
    else:
        vessels = smooth_noise(seed + 32, at.fibre / 9, y / 60, x / 60)
        wanted = stroma & (vessels > 0.62) & (at.lymph < 0.3) & (chance < 0.9)
        priority = priority + 0.2
    return wanted, priority


def _size(
    kind: int, key: NDArray[np.int64], gland: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Semi-axes in µm; the nuclei of one gland resemble each other."""
    if kind == EPITHELIAL:
        scale = uniform(seed, gland, 41, low=0.9, high=1.12)
        b = scale * uniform(seed, key, 5, low=2.8, high=3.8)
        slender = uniform(seed, gland, 42, low=1.05, high=1.5)
        return b * slender * uniform(seed, key, 6, low=0.95, high=1.15), b
    if kind == INFLAMMATORY:
        b = uniform(seed, key, 5, low=2.2, high=3.15)
        return b * uniform(seed, key, 6, low=1.0, high=1.35), b
    if kind == MISCELLANEOUS:
        plump = uniform(seed, key, 7) < 0.35
        b = np.where(
            plump,
            uniform(seed, key, 5, low=2.2, high=2.9),
            uniform(seed, key, 5, low=1.1, high=1.9),
        )
        return b * uniform(seed, key, 6, low=2.2, high=4.2) * np.where(plump, 0.66, 1.25), b
    if kind == DEBRIS:
        b = uniform(seed, key, 5, low=0.5, high=1.1)
        return b * uniform(seed, key, 6, low=1.0, high=1.8), b
    b = uniform(seed, key, 5, low=2.0, high=3.2)
    return np.full(len(key), 3.3), b


def _orientation(
    kind: int, y: NDArray[Any], x: NDArray[Any], key: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Epithelium stands across the basement membrane, spindle cells lie along the fibres."""
    jitter = uniform(seed, key, 8, low=-1.0, high=1.0)
    if kind in (INFLAMMATORY, DEBRIS) or not len(y):
        return jitter * np.pi
    step = 1.5
    around = ((step, 0), (-step, 0), (0, step), (0, -step))
    fields_at = [survey(y + dy, x + dx, seed=seed) for dy, dx in around]
    values = [f.depth if kind == EPITHELIAL else f.fibre for f in fields_at]
    gradient = np.arctan2(values[0] - values[1], values[2] - values[3])
    if kind == EPITHELIAL:
        return np.asarray(gradient + 0.45 * jitter)
    return np.asarray(gradient + np.pi / 2 + 0.25 * jitter)


def _thin(cells: Cells, priority: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which candidates stay: of those that collide, the ones that nothing better collides with.

    Taken in rounds, each of which looks at neighbours only; so what happens to
    a candidate depends on its surroundings and not on the window.
    """
    reach = 2 * float(cells.a.max(initial=0.0)) + 1.0
    points = np.stack([cells.y, cells.x], axis=1)
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray") if len(points) else None
    if pairs is None or not len(pairs):
        return np.ones(len(points), dtype=bool)
    i, j = pairs.T
    between = points[j] - points[i]
    distance = np.hypot(between[:, 0], between[:, 1])
    direction = np.arctan2(between[:, 0], between[:, 1])
    room = 0.9 * (_radius(cells, i, direction) + _radius(cells, j, direction))
    hit = distance < np.maximum(room, CLOSEST)
    i, j = i[hit], j[hit]
    better = np.where(priority[i] > priority[j], i, j)
    worse = np.where(priority[i] > priority[j], j, i)
    undecided = np.ones(len(points), dtype=bool)
    kept = np.zeros(len(points), dtype=bool)
    for _ in range(ROUNDS):
        blocked = np.zeros(len(points), dtype=bool)
        blocked[worse[undecided[better]]] = True
        chosen = undecided & ~blocked
        kept |= chosen
        undecided &= ~chosen
        undecided[worse[chosen[better]]] = False
        live = undecided[better] & undecided[worse]
        better, worse = better[live], worse[live]
    return kept


def _radius(
    cells: Cells, which: NDArray[Any], direction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Half the extent of an elliptic nucleus in a direction, µm."""
    a, b = cells.a[which], cells.b[which]
    turn = direction - cells.angle[which]
    return np.asarray(a * b / np.hypot(b * np.cos(turn), a * np.sin(turn)))
