"""Counts, densities and neighbours, against figures that one can work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from napari_nucbudget.core.outline import Outline
from napari_nucbudget.core.statistics import region_statistics
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei


def test_a_row_of_three_nuclei_is_as_worked_out_by_hand() -> None:
    nuclei = Nuclei.from_points([[0, 0], [0, 10], [0, 40]], label=[0, 1, 1])
    rows = region_statistics(nuclei, {"all tissue": None}, mpp=0.5, area_mm2=2.0)
    every, epithelial, inflammatory, miscellaneous = rows
    assert [r.label for r in rows] == ["all", "epithelial", "inflammatory", "miscellaneous"]
    assert (every.nuclei, every.fraction, every.per_mm2) == (3, 1.0, 1.5)
    assert every.nearest_um == 5.0  # 5, 5 and 15
    assert (inflammatory.nuclei, inflammatory.fraction) == (2, pytest.approx(2 / 3))
    assert inflammatory.nearest_same_um == 15.0
    assert inflammatory.nearest_by_class_um["epithelial"] == 12.5  # 5 and 20
    assert np.isnan(epithelial.nearest_same_um)
    assert (miscellaneous.nuclei, miscellaneous.fraction) == (0, 0.0)


def test_distances_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    nuclei = Nuclei.from_points(rng.uniform(0, 900, (150, 2)), label=rng.integers(0, 3, 150))
    rows = region_statistics(nuclei, {"all": None}, mpp=1.0, area_mm2=1.0)
    pairs = cdist(nuclei.yx, nuclei.yx)
    np.fill_diagonal(pairs, np.inf)
    for row in rows[1:]:
        mine = nuclei.label == nuclei.classes.index(row.label)
        assert row.nearest_um == pytest.approx(np.median(pairs[mine].min(axis=1)))
        for name, distance in row.nearest_by_class_um.items():
            other = nuclei.label == nuclei.classes.index(name)
            assert distance == pytest.approx(np.median(pairs[mine][:, other].min(axis=1)))


def test_a_region_has_its_own_area_and_the_neighbours_outside_it() -> None:
    nuclei = Nuclei.from_points([[5, 5], [5, 12]])
    (row,) = region_statistics(nuclei, {"box": Region(0, 0, 10, 10)}, mpp=2.0, area_mm2=9.0)
    assert (row.nuclei, row.area_mm2, row.nearest_um) == (1, pytest.approx(400e-6), 14.0)
    assert row.per_mm2 == pytest.approx(2500)


def test_nuclei_without_a_class_have_one_row() -> None:
    rows = region_statistics(Nuclei.from_points([[1, 1]]), {"all": None}, mpp=1.0, area_mm2=1.0)
    assert [(r.label, r.nuclei) for r in rows] == [("all", 1)]
    assert np.isnan(rows[0].nearest_um)


def test_no_nuclei_have_no_density_and_no_fraction() -> None:
    rows = region_statistics(Nuclei.empty(), {"all": None}, mpp=1.0, area_mm2=0.0)
    assert all((r.nuclei, r.fraction, r.per_mm2) == (0, 0.0, 0.0) for r in rows)


def test_a_region_that_is_partly_glass_has_the_area_of_its_tissue() -> None:
    nuclei = Nuclei.from_points([[2, 2], [90, 90]])
    square = Outline(np.array([[0, 0], [0, 10], [10, 10], [10, 0]], float))
    (row,) = region_statistics(
        nuclei, {"edge": square}, mpp=2.0, area_mm2=9.0, areas={"edge": 25.0}
    )
    assert (row.nuclei, row.area_mm2) == (1, pytest.approx(100e-6))
    assert row.per_mm2 == pytest.approx(10_000)
