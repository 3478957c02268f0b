from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.budget.detection import RECALL, precision_at
from napari_nucbudget.budget.report import finished_cells, write_report
from napari_nucbudget.budget.run import run_recipe
from napari_nucbudget.infer.evaluate import evaluate_detector
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.types.progress import result_of
from napari_nucbudget.types.scores import PRCurve


@pytest.fixture(scope="module")
def finished(fields_recipe, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("fields")
    store = result_of(run_recipe(fields_recipe, data=data, out=out, device="cpu", threads=1))
    return store, {(c["row"], c["budget"]): c for c in finished_cells(fields_recipe, store)}


def test_only_the_dots_of_the_drawn_fields_are_learnt_from(finished):
    _, cells = finished
    few, every = cells["scratch", "2"], cells["scratch", "100%"]
    assert (few["labels"], every["labels"]) == (2, 9)  # 75 µm in fields of 25 µm
    assert 0 < few["dots"] < every["dots"] == 25


def test_what_starts_from_the_parent_is_scored_on_its_source_too(finished):
    _, cells = finished
    assert set(cells["fine-tune", "2"]["scores"]) == {"target", "source"}
    assert set(cells["zero-label", "0"]["scores"]) == {"target", "source"}
    assert set(cells["scratch", "2"]["scores"]) == {"target"}


def test_the_parent_as_it_is_scores_as_evaluate_says(finished, data):
    _, cells = finished
    labels = read_label_set(data / "target", splits=("test",))
    oracle = result_of(evaluate_detector(labels, load_detector("colon-fcn", device="cpu")))
    found = cells["zero-label", "0"]["scores"]["target"]
    assert found["aupr"] == pytest.approx(oracle.aupr, abs=0.01)
    assert found["nuclei"] == oracle.nuclei
    assert found["radius_um"] == 3.3


def test_the_report_holds_the_forgetting_and_the_curves(fields_recipe, finished, tmp_path):
    store, _ = finished
    paths = write_report(fields_recipe, store, tmp_path, "test", "nucbudget budget fields")
    names = ["fields.csv", "fields.md", "fields-budget.svg", "fields-curves.svg"]
    assert [p.name for p in paths] == names
    text = (tmp_path / "fields.md").read_text()
    assert "What is forgotten: the test images of source" in text
    assert "| 100% (9) | fine-tune | 1 |" in text


def test_precision_is_read_between_the_measured_points_and_not_beyond():
    curve = PRCurve(
        threshold=np.array([0.9, 0.8, 0.7, 0.6]),
        precision=np.array([1.0, 0.8, 0.4, 0.6]),
        recall=np.array([0.1, 0.2, 0.2, 0.5]),
    )
    at = dict(zip(RECALL.tolist(), precision_at(curve), strict=True))
    assert at[0.0] == at[0.1] == 1.0
    assert at[0.15] == pytest.approx(0.9)
    assert at[0.2] == pytest.approx(0.8)
    assert at[0.35] == pytest.approx(0.7)
    assert at[0.5] == pytest.approx(0.6)
    assert at[0.51] is None


def test_a_detector_that_finds_nothing_has_an_empty_curve():
    nothing = np.zeros(0)
    assert set(precision_at(PRCurve(nothing, nothing, nothing))) == {None}
