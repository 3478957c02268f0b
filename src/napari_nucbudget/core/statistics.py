"""What pathologists count: nuclei, densities, class fractions, distances to neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_nucbudget.core.outline import Outline, Outlines
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["ALL", "ClassStatistics", "region_statistics"]

ALL = "all"
"""Label of the row for nuclei of all classes."""


@dataclass(frozen=True)
class ClassStatistics:
    """Nuclei of one class in one region; of all classes where `label` is "all".

    Attributes
    ----------
    region, label : str
    nuclei : int
    fraction : float
        Of the region's nuclei; 0 where it has none.
    area_mm2, per_mm2 : float
    nearest_um : float
        Median distance to the nearest nucleus of any class, µm; NaN where there is none.
    nearest_same_um : float
        The same to the nearest nucleus of the same class.
    nearest_by_class_um : dict
        The same to the nearest nucleus of every class, by its name.
    """

    region: str
    label: str
    nuclei: int
    fraction: float
    area_mm2: float
    per_mm2: float
    nearest_um: float
    nearest_same_um: float
    nearest_by_class_um: dict[str, float]


def region_statistics(
    nuclei: Nuclei,
    regions: Mapping[str, Region | Outline | Outlines | None],
    *,
    mpp: float,
    area_mm2: float,
    areas: Mapping[str, float] | None = None,
) -> list[ClassStatistics]:
    """A row for all nuclei of each region, then one for each of its classes.

    Neighbours are sought on the whole slide, so that a nucleus at the border
    of a region has the neighbour it has.

    Parameters
    ----------
    nuclei : Nuclei
    regions : mapping of str to Region, Outline, Outlines or None
        None stands for all nuclei, on `area_mm2`.
    mpp : float
        µm per level-0 pixel.
    area_mm2 : float
        Area on which nuclei were sought.
    areas : mapping of str to float, optional
        Level-0 pixels of a region in which nuclei were sought; default its whole area.
    """
    scheme = [*nuclei.classes.names]
    if (nuclei.label < 0).any():
        scheme.append(nuclei.classes.name(-1))
    names = nuclei.classes.to_names(nuclei.label)
    typed = len(scheme) > 1 and not (nuclei.label < 0).all()
    groups = scheme if typed else []
    nearest = _Nearest(nuclei.yx, {name: names == name for name in groups}, mpp)
    rows = []
    for title, region in regions.items():
        inside = np.ones(len(nuclei), np.bool_) if region is None else region.contains(nuclei.yx)
        area = area_mm2
        if region is not None:
            pixels = (areas or {}).get(title)
            area = (region.area if pixels is None else pixels) * mpp**2 * 1e-6
        for label in (ALL, *groups):
            chosen = inside if label == ALL else inside & (names == label)
            count = int(chosen.sum())
            rows.append(
                ClassStatistics(
                    region=title,
                    label=label,
                    nuclei=count,
                    fraction=count / int(inside.sum()) if inside.any() else 0.0,
                    area_mm2=area,
                    per_mm2=count / area if area else 0.0,
                    nearest_um=nearest.median(chosen, ALL),
                    nearest_same_um=nearest.median(chosen, label),
                    nearest_by_class_um={to: nearest.median(chosen, to) for to in groups},
                )
            )
    return rows


class _Nearest:
    """Distance of every nucleus to the nearest other one of a class, sought once."""

    def __init__(
        self, yx: NDArray[np.float32], groups: dict[str, NDArray[np.bool_]], mpp: float
    ) -> None:
        points = yx.astype(np.float64)
        everyone = np.ones(len(points), np.bool_)
        self._distance = {
            name: self._to(points, member) * mpp
            for name, member in {ALL: everyone, **groups}.items()
        }

    def median(self, chosen: NDArray[np.bool_], to: str) -> float:
        distance = self._distance[to][chosen]
        known = distance[np.isfinite(distance)]
        return float(np.median(known)) if len(known) else float("nan")

    @staticmethod
    def _to(points: NDArray[np.float64], member: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N,) pixels to the nearest member other than the nucleus itself; inf where none is."""
        found = np.full(len(points), np.inf)
        if not member.any():
            return found
        tree = cKDTree(points[member])
        if not member.all():
            found[~member], _ = tree.query(points[~member])
        if member.sum() > 1:
            pair, _ = tree.query(points[member], k=2)
            found[member] = np.asarray(pair)[:, 1]
        return found
