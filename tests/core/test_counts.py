from __future__ import annotations

import pytest

from napari_nucbudget.core.counts import count_nuclei
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

NUCLEI = Nuclei.from_points(
    [[1, 1], [2, 2], [30, 30]], label=[0, 0, -1], origin=["human", "fcn", "fcn"]
)


def test_nuclei_are_counted_per_field_class_and_area():
    rows = count_nuclei(NUCLEI, {"a": Region(0, 0, 10, 20)}, mpp=0.5)
    assert [(r.label, r.nuclei, r.human) for r in rows] == [
        ("epithelial", 2, 1),
        ("inflammatory", 0, 0),
        ("miscellaneous", 0, 0),
    ]
    assert rows[0].area_um2 == 50
    assert rows[0].per_um2 == pytest.approx(0.04)
    assert rows[0].per_mm2 == pytest.approx(40_000)


def test_all_nuclei_count_where_no_field_is_given_and_unlabelled_ones_come_last():
    rows = count_nuclei(NUCLEI, {"all": None}, mpp=0.5)
    assert [(r.label, r.nuclei) for r in rows][-1] == ("unlabelled", 1)
    assert rows[0].area_um2 is None
    assert rows[0].per_mm2 is None


def test_a_density_needs_the_pixel_size():
    assert count_nuclei(NUCLEI, {"a": Region(0, 0, 10, 20)}, mpp=None)[0].per_um2 is None
