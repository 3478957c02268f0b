"""The one table of points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_nucbudget.errors import ConfigError, PointsError
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import HUMAN, Nuclei


def some(n: int = 4, *, seed: int = 0, **changes: Any) -> Nuclei:
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {
        "score": rng.random(n),
        "label": rng.integers(-1, 3, n),
        "origin": ["nuclei-fcn", HUMAN] * (n // 2) + ["nuclei-fcn"] * (n % 2),
        "prob": rng.random((n, 3)),
    }
    return Nuclei.from_points(rng.uniform(0, 100, (n, 2)), **{**options, **changes})


def same(a: Nuclei, b: Nuclei) -> bool:
    columns = ("id", "yx", "score", "label", "origin")
    probs = (a.prob is None and b.prob is None) or np.array_equal(a.prob, b.prob)
    return probs and all(np.array_equal(getattr(a, c), getattr(b, c)) for c in columns)


def test_points_alone_are_human_dots_without_class() -> None:
    nuclei = Nuclei.from_points([[1, 2], [3, 4]])
    assert nuclei.score.tolist() == [1, 1]
    assert nuclei.label.tolist() == [-1, -1]
    assert nuclei.origin.tolist() == [HUMAN, HUMAN]
    assert nuclei.id.tolist() == [0, 1]


def test_columns_have_the_stated_types() -> None:
    nuclei = some()
    assert nuclei.yx.dtype == np.float32
    assert nuclei.score.dtype == np.float32
    assert nuclei.label.dtype == np.int16
    assert nuclei.id.dtype == np.int64
    assert nuclei.origin.dtype == object


@pytest.mark.parametrize("none", [[], np.zeros((0, 2)), np.zeros(0)])
def test_no_points_are_an_empty_table(none: Any) -> None:
    nuclei = Nuclei.from_points(none)
    assert len(nuclei) == 0
    assert nuclei.yx.shape == (0, 2)
    assert nuclei.counts() == {"epithelial": 0, "inflammatory": 0, "miscellaneous": 0}


@pytest.mark.parametrize(
    ("yx", "options", "words"),
    [
        (np.zeros((4, 3)), {}, r"need \(N, 2\) coordinates, got shape \(4, 3\)"),
        (np.zeros(4), {}, r"need \(N, 2\) coordinates, got shape \(4,\)"),
        ([[0, np.nan]], {}, "1 of 1 nuclei have coordinates that are not numbers"),
        ([[0, np.inf]], {}, "coordinates that are not numbers"),
        ([[0, 0]], {"score": [0.1, 0.2]}, "1 nuclei, but 2 values of 'score'"),
        ([[0, 0]], {"label": [0, 0]}, "1 nuclei, but 2 values of 'label'"),
        ([[0, 0]], {"origin": ["a", "b"]}, "1 nuclei, but 2 values of 'origin'"),
        ([[0, 0]], {"id": [1, 2]}, "1 nuclei, but 2 values of 'id'"),
        ([[0, 0]], {"score": 1.5}, r"Scores must lie in 0 \.\. 1, got 1\.5"),
        ([[0, 0]], {"score": np.nan}, r"Scores must lie in 0 \.\. 1, got nan"),
        ([[0, 0]], {"label": 3}, r"Labels must lie in -1 \.\. 2, got 3"),
        ([[0, 0]], {"label": -2}, r"Labels must lie in -1 \.\. 2, got -2"),
        ([[0, 0]], {"prob": np.zeros((1, 2))}, r"shape \(1, 2\), expected \(1, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_words(
    yx: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(PointsError, match=words):
        Nuclei.from_points(yx, **options)


def test_select_keeps_whole_rows_by_mask_and_by_index() -> None:
    nuclei = some()
    picked = nuclei.select(np.array([3, 1]))
    assert picked.id.tolist() == [3, 1]
    assert np.array_equal(picked.yx, nuclei.yx[[3, 1]])
    assert picked.prob is not None
    assert nuclei.prob is not None
    assert np.array_equal(picked.prob, nuclei.prob[[3, 1]])
    assert same(
        nuclei.select(np.array([False, True, False, True])), nuclei.select(np.array([1, 3]))
    )


def test_above_keeps_a_score_equal_to_the_threshold() -> None:
    nuclei = some(3, score=[0.1, 0.3, 0.7])
    assert nuclei.above(0.3).id.tolist() == [1, 2]


def test_joining_and_selecting_gives_the_parts_back() -> None:
    a, b = some(3, id=[10, 11, 12]), some(2, seed=1, id=[1, 2])
    both = Nuclei.concat([a, b])
    assert same(both.select(np.arange(3)), a)
    assert same(both.select(np.arange(3, 5)), b)


def test_ids_that_clash_are_numbered_anew() -> None:
    assert Nuclei.concat([some(3), some(2)]).id.tolist() == [0, 1, 2, 3, 4]


def test_an_empty_part_takes_nothing_away() -> None:
    joined = Nuclei.concat([Nuclei.empty(), some(3)])
    assert same(joined, some(3))


def test_probabilities_that_only_some_have_are_left_out() -> None:
    assert Nuclei.concat([some(3), some(2, prob=None)]).prob is None


def test_nothing_joined_is_empty() -> None:
    assert len(Nuclei.concat([])) == 0


def test_tables_with_other_classes_are_not_joined() -> None:
    other = ClassScheme((NucleusClass("mitosis", "red"),))
    with pytest.raises(PointsError, match="different classes cannot be joined"):
        Nuclei.concat([some(), Nuclei.empty(other)])


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_shifting_there_and_back_changes_nothing(dy: float, dx: float) -> None:
    back = some().shifted(dy, dx).shifted(-dy, -dx)
    np.testing.assert_allclose(back.yx, some().yx, atol=2e-3)


@given(st.floats(0.05, 20))
def test_mapping_there_and_back_changes_nothing(scale: float) -> None:
    back = some().mapped(scale).mapped(1 / scale)
    np.testing.assert_allclose(back.yx, some().yx, rtol=1e-5, atol=1e-4)


def test_mapping_keeps_pixel_centres() -> None:
    """The first pixel's centre lies at 0; in pixels twice as fine it lies between the first two."""
    assert Nuclei.from_points([[0, 0]]).mapped(2).yx.tolist() == [[0.5, 0.5]]
    assert Nuclei.from_points([[0.5, 0.5]]).mapped(0.5).yx.tolist() == [[0, 0]]


@given(st.integers(0, 30), st.data())
@settings(max_examples=40)
def test_a_frame_and_back_gives_the_same_table(n: int, data: st.DataObject) -> None:
    number = st.floats(-1e5, 1e5, width=32)
    unit = st.floats(0, 1, width=32)
    nuclei = Nuclei.from_points(
        data.draw(arrays(np.float32, (n, 2), elements=number)),
        score=data.draw(arrays(np.float32, n, elements=unit)),
        label=data.draw(arrays(np.int16, n, elements=st.integers(-1, 2))),
        id=data.draw(arrays(np.int64, n, elements=st.integers(0, 2**60), unique=True)),
        prob=data.draw(st.none() | arrays(np.float32, (n, 3), elements=unit)),
    )
    assert same(Nuclei.from_frame(nuclei.to_frame()), nuclei)


def test_a_frame_needs_no_more_than_y_and_x() -> None:
    nuclei = Nuclei.from_frame(pd.DataFrame({"x": [3], "y": [4]}))
    assert nuclei.yx.tolist() == [[4, 3]]
    assert nuclei.origin.tolist() == [HUMAN]


def test_an_empty_label_or_origin_is_none_and_human() -> None:
    frame = pd.DataFrame(
        {"y": [0, 1], "x": [0, 1], "label": ["epithelial", None], "origin": [None, "m"]}
    )
    nuclei = Nuclei.from_frame(frame)
    assert nuclei.label.tolist() == [0, -1]
    assert nuclei.origin.tolist() == [HUMAN, "m"]


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        ({"y": [1]}, PointsError, r"no column 'x'; its columns are \['y'\]"),
        ({"z": [1]}, PointsError, "no column 'y' or 'x'"),
        ({"y": ["a"], "x": [1]}, PointsError, "is not a number"),
        ({"y": [None], "x": [1]}, PointsError, "not numbers|not a number"),
        ({"y": [1], "x": [1], "score": ["high"]}, PointsError, "is not a number"),
        ({"y": [1], "x": [1], "score": [80]}, PointsError, r"Scores must lie in 0 \.\. 1"),
        ({"y": [1], "x": [1], "id": [None]}, PointsError, "is not a number"),
        ({"y": [1, 1], "x": [1, 2], "id": [5, 5]}, PointsError, "Two nuclei have the same id"),
        ({"y": [1], "x": [1], "label": ["epitelial"]}, ConfigError, "Did you mean 'epithelial'"),
    ],
)
def test_a_wrong_frame_is_refused_with_words(
    columns: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Nuclei.from_frame(pd.DataFrame(columns))


def test_counts_name_the_classes_and_unlabelled_last() -> None:
    nuclei = some(4, label=[0, 0, 2, -1])
    assert nuclei.counts() == {
        "epithelial": 2,
        "inflammatory": 0,
        "miscellaneous": 1,
        "unlabelled": 1,
    }
    assert nuclei.classes == DEFAULT_CLASSES


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": [1, 1]}, "same id"),
        ({"id": [1.5, 2.0]}, "Ids must be whole"),
        ({"id": [2**70, 1]}, "Ids must be whole"),
        ({"label": [0.9, 1.0]}, "Labels must be whole"),
        ({"label": ["epithelial", "epithelial"]}, "Labels must be whole"),
        ({"label": [65536, 0]}, "Labels must lie"),
        ({"label": [40000, 0]}, "Labels must lie"),
        ({"prob": [[7, 0, 0], [0, 0, 1]]}, "probability"),
        ({"prob": [[-1, 0, 0], [0, 0, 1]]}, "probability"),
    ],
)
def test_ids_labels_and_probabilities_without_sense_are_refused(
    columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(PointsError, match=words):
        Nuclei.from_points([[0, 0], [1, 1]], **columns)


def test_what_a_table_was_made_of_may_change_afterwards() -> None:
    yx, ids = np.zeros((2, 2), np.float32), np.array([3, 4], np.int64)
    prob = np.full((2, 3), 0.25, np.float32)
    nuclei = Nuclei.from_points(yx, id=ids, prob=prob)
    yx += 1
    ids += 1
    prob += 0.5
    assert nuclei.yx.max() == 0
    assert nuclei.id.tolist() == [3, 4]
    assert nuclei.prob is not None
    assert nuclei.prob.max() == 0.25
