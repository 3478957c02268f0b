from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_nucbudget.io.formats.coordinates import OFFSETS, from_file, shortest, to_file


@pytest.mark.parametrize(
    ("convention", "xy"), [("centre", [7, 3]), ("corner", [7.5, 3.5]), ("matlab", [8, 4])]
)
def test_the_pixel_of_row_3_and_column_7(convention, xy):
    np.testing.assert_array_equal(to_file(np.float32([[3, 7]]), convention), [xy])
    np.testing.assert_array_equal(from_file([xy], convention), [[3, 7]])


@given(
    arrays(
        np.float32,
        (5, 2),
        elements=st.floats(-1e6, 1e6, width=32).map(lambda v: float(np.float32(v + 0.125))),
    ),
    st.sampled_from(sorted(OFFSETS)),
)
def test_going_there_and_back_changes_nothing(yx, convention):
    np.testing.assert_array_equal(from_file(to_file(yx, convention), convention), yx)


def test_numbers_are_as_short_as_they_can_be():
    meant = np.float32([0.1, 12.34, 0.87654321, 100_000.5])
    assert [repr(v) for v in shortest(meant.astype(np.float64), meant).tolist()] == [
        "0.1",
        "12.34",
        "0.8765432",
        "100000.5",
    ]
