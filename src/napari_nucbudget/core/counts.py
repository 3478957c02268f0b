"""Nuclei per class and field, and per area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

__all__ = ["Count", "count_nuclei"]

UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class Count:
    """Nuclei of one class in one field.

    Attributes
    ----------
    field, label : str
        Name of the field and of the class.
    region : Region or None
        The field; None for all nuclei, wherever they are.
    nuclei, human : int
        All of the class, and those of them that a person set or confirmed.
    mpp : float or None
        µm per pixel.
    """

    field: str
    region: Region | None
    label: str
    nuclei: int
    human: int
    mpp: float | None

    @property
    def area_um2(self) -> float | None:
        """µm² of the field; None where it or the pixel size is not known."""
        if self.region is None or self.mpp is None:
            return None
        return self.region.height * self.region.width * self.mpp**2

    @property
    def per_um2(self) -> float | None:
        """Nuclei per µm²."""
        return None if self.area_um2 is None else self.nuclei / self.area_um2

    @property
    def per_mm2(self) -> float | None:
        """Nuclei per mm²."""
        return None if self.per_um2 is None else self.per_um2 * UM2_PER_MM2


def count_nuclei(
    nuclei: Nuclei, regions: Mapping[str, Region | None], *, mpp: float | None
) -> list[Count]:
    """One row a field and class, in their order; ``unlabelled`` last where there are any.

    Parameters
    ----------
    nuclei : Nuclei
    regions : mapping of str to Region or None
        Fields by name; None stands for all nuclei. A nucleus in two fields counts in both.
    mpp : float or None
        µm per pixel.
    """
    rows = []
    for name, region in regions.items():
        inside = nuclei if region is None else nuclei.select(region.contains(nuclei.yx))
        confirmed = inside.select(inside.origin == HUMAN).counts()
        rows += [
            Count(name, region, label, count, confirmed.get(label, 0), mpp)
            for label, count in inside.counts().items()
        ]
    return rows
