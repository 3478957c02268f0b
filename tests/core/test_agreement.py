"""Agreement of two readings, against scikit-learn and by eye."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.agreement import agreement, cohens_kappa
from napari_nucbudget.core.class_metrics import confusion_matrix
from napari_nucbudget.errors import PointsError
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import Nuclei


@pytest.mark.parametrize("seed", range(3))
def test_kappa_is_that_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, (2, 50))
    b[:30] = a[:30]
    kappa = cohens_kappa(confusion_matrix(a, b, 3))
    assert kappa == pytest.approx(cohen_kappa_score(a, b))


def test_nuclei_are_paired_one_to_one_and_compared_by_class() -> None:
    first = Nuclei.from_points([(0, 0), (10, 10), (20, 20), (90, 90)], label=[0, 1, 1, -1])
    second = Nuclei.from_points([(0, 2), (10, 11), (21, 20), (21, 22)], label=[0, 1, 2, 2])
    found = agreement(first, second, radius_um=1.5, mpp=0.5)
    assert (found.both, found.only_first, found.only_second) == (3, 1, 1)
    assert found.f1 == pytest.approx(2 * 3 / 8)
    assert found.confusion == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    # p_o = 2/3, p_e = (1*1 + 2*1 + 0*1) / 9 = 1/3
    assert found.kappa == pytest.approx(0.5)
    assert found.radius_um == 1.5


def test_agreement_is_undefined_without_nuclei_or_with_one_class() -> None:
    none = agreement(Nuclei.empty(), Nuclei.empty(), radius_um=1.5, mpp=0.5)
    assert (none.f1, none.kappa) == (None, None)
    one = Nuclei.from_points([(1, 1)], label=1)
    same = agreement(one, one, radius_um=1.5, mpp=0.5)
    assert (same.f1, same.kappa) == (1.0, None)


def test_readings_with_different_classes_are_refused() -> None:
    other = Nuclei.empty(ClassScheme((NucleusClass("a", "#fff"),)))
    with pytest.raises(PointsError, match="different classes"):
        agreement(Nuclei.empty(), other, radius_um=1.5, mpp=0.5)
