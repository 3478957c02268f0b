"""The rule for a nucleus that was dotted twice."""

from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.io.twice_dotted import one_dot_each, remarks
from napari_nucbudget.types.nuclei import Nuclei

Dots = list[tuple[float, float, int]]


def after(dots: Dots, mpp: float = 0.5) -> Dots:
    """(x, y, label) of the dots that are left."""
    table = np.array(dots, dtype=float)
    nuclei = Nuclei.from_points(table[:, 1::-1], label=table[:, 2].astype(int))
    left, _ = one_dot_each(nuclei, mpp=mpp, image="a")
    return [(float(x), float(y), int(k)) for (y, x), k in zip(left.yx, left.label, strict=True)]


@pytest.mark.parametrize(
    ("dots", "left"),
    [
        ([(9, 1, 0), (2, 1, 1), (9, 1, 0)], [(9, 1, 0), (2, 1, 1)]),
        ([(9, 1, -1), (9, 1, 2)], [(9, 1, 2)]),
        ([(9, 1, 2), (9, 1, -1)], [(9, 1, 2)]),
        ([(9, 1, -1), (9, 1, -1)], [(9, 1, -1)]),
        ([(9, 1, 0), (9, 1, 2)], [(9, 1, -1)]),
        ([(9, 1, 0), (9, 1, 2), (9, 1, 0), (9, 1, -1)], [(9, 1, -1)]),
    ],
)
def test_dots_at_one_place_become_one(dots: Dots, left: Dots) -> None:
    assert after(dots) == left


def test_classes_half_a_micrometre_apart_contradict_and_the_dots_stay() -> None:
    assert after([(9, 1, 0), (10, 1, 2), (12, 1, 1)]) == [(9, 1, -1), (10, 1, -1), (12, 1, 1)]


def test_the_distance_is_in_micrometres() -> None:
    dots: Dots = [(9, 1, 0), (10, 1, 2)]
    assert after(dots, mpp=0.6) == dots


def test_close_dots_that_agree_stay_as_they_are() -> None:
    dots: Dots = [(9, 1, 0), (9.5, 1, 0), (9, 1.5, -1)]
    assert after(dots) == dots


def test_nothing_comes_of_nothing() -> None:
    left, found = one_dot_each(Nuclei.empty(), mpp=0.5, image="a")
    assert len(left) == 0
    assert remarks([found]) == []


def test_ids_count_on_without_gaps() -> None:
    nuclei = Nuclei.from_points([[1, 1], [1, 1], [2, 2]])
    assert one_dot_each(nuclei, mpp=0.5, image="a")[0].id.tolist() == [0, 1]


def test_the_remarks_name_the_first_five_places() -> None:
    nuclei = Nuclei.from_points([[y, 3.5] for y in range(6)] * 2, label=np.repeat([0, 1], 6))
    _, found = one_dot_each(nuclei, mpp=5.0, image="img8")
    places = "; ".join(f"img8 at x=3.5, y={y}" for y in range(5)) + "; ..."
    assert remarks([found]) == [
        f"6 dots are listed twice and count once: {places}.",
        "6 nuclei have dots of different classes within 0.5 µm and count as without class: "
        f"{places}. Decide which class is right.",
    ]
