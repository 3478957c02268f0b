from __future__ import annotations

import math
import shutil

import pytest

from napari_nucbudget.budget.cells import cells_of
from napari_nucbudget.budget.classification import ClassificationBench
from napari_nucbudget.budget.data import read_data
from napari_nucbudget.budget.report import finished_cells, tidy_table, write_report
from napari_nucbudget.budget.run import open_store, run_recipe
from napari_nucbudget.errors import ConfigError, OutputError
from napari_nucbudget.types.progress import result_of


def run(recipe, data, out, **options):
    return run_recipe(recipe, data=data, out=out, device="cpu", threads=1, **options)


@pytest.fixture(scope="module")
def finished(types_recipe, data, tmp_path_factory):
    """The whole recipe, once for all tests."""
    out = tmp_path_factory.mktemp("types")
    store = result_of(run(types_recipe, data, out))
    return store, {
        (c["row"], c["budget"], c["seed"]): c for c in finished_cells(types_recipe, store)
    }


def test_every_cell_is_found_with_scores_on_all_test_nuclei(types_recipe, finished):
    _, cells = finished
    assert len(cells) == len(cells_of(types_recipe)) == 10
    scores = [s for cell in cells.values() for s in cell["scores"].values()]
    assert {s["nuclei"] for s in scores} == {25}
    assert all(0 <= s["weighted_f1"] <= 1 for s in scores)


def test_a_run_tells_last_weights_from_those_chosen_on_validation(finished):
    _, cells = finished
    cell = cells["supervised", "9", 0]
    assert set(cell["scores"]) == {"last", "once", "validation"}
    curve = {c["step"]: c["validation_f1"] for c in cell["curve"]}
    assert set(curve) == {2, 4}
    assert curve[cell["best_step"]] == max(curve.values())
    assert cell["validation_labels"] == 25
    if cell["best_step"] == 4:
        assert cell["scores"]["last"] == cell["scores"]["validation"]


def test_what_is_averaged_is_scored_at_one_look_too_and_else_not(
    types_recipe, data, finished, tmp_path
):
    _, cells = finished
    cell = cells["fine-tune", "9", 0]["scores"]
    assert cell["once"] != cell["last"]  # 40 views and one
    assert "once" in cells["zero-label", "0", 0]["scores"]
    plain = types_recipe.model_copy(update={"average": False, "draws": 1, "budgets": ["9"]})
    found = finished_cells(plain, result_of(run(plain, data, tmp_path)))
    (scores,) = [c["scores"] for c in found if c["row"] == "fine-tune"]
    assert set(scores) == {"last", "validation"}
    assert scores["last"]["weighted_f1"] == cell["once"]["weighted_f1"]


def test_budgets_are_counted_in_labels(finished):
    _, cells = finished
    assert {(c["budget"], c["labels"]) for c in cells.values()} == {
        ("0", 0),
        ("9", 9),
        ("100%", 25),
    }


def test_no_work_of_a_run_is_left_behind(finished):
    store, _ = finished
    assert not list((store.folder / "work").iterdir())


def test_a_finished_experiment_computes_nothing(types_recipe, data, finished):
    store, _ = finished
    assert list(run(types_recipe, data, store.folder)) == []


def test_a_stopped_run_goes_on_without_computing_a_cell_twice(
    types_recipe, data, tmp_path, monkeypatch
):
    few = types_recipe.model_copy(update={"budgets": ["9"], "parent": None, "draws_at": {}})
    methods = {"supervised": few.methods["supervised"]}
    few = few.model_copy(update={"methods": methods})
    started = []
    whole = ClassificationBench.run

    def counted(self, cell):
        started.append(cell.id)
        return whole(self, cell)

    monkeypatch.setattr(ClassificationBench, "run", counted)
    stopped = run(few, data, tmp_path)
    while next(stopped).cell.id != "supervised-9-0":
        pass
    stopped.close()  # in the middle of the first training, whose folder stays behind
    assert started == ["descriptors-9-0", "descriptors-9-1", "supervised-9-0"]
    assert (tmp_path / "work" / "supervised-9-0").is_dir()
    result_of(run(few, data, tmp_path))
    assert started[3:] == ["supervised-9-0", "supervised-9-1"]


@pytest.fixture
def cheap(types_recipe):
    """Two draws of descriptors and of one short training."""
    few = types_recipe.model_copy(update={"parent": None, "budgets": ["9"], "draws_at": {}})
    return few.model_copy(update={"methods": {"supervised": few.methods["supervised"]}})


def test_a_cell_that_another_process_computes_is_refused_and_left_alone(cheap, data, tmp_path):
    one = run(cheap, data, tmp_path)
    while next(one).cell.id != "supervised-9-0":
        pass
    for part in ((1, 1), (1, 2)):
        with pytest.raises(OutputError, match=r"Another process computes supervised, 9, draw 0"):
            result_of(run(cheap, data, tmp_path, part=part))
    store = result_of(one)
    assert len(finished_cells(cheap, store)) == 4
    assert not list((tmp_path / "work").iterdir())


def test_a_cell_that_another_process_finished_meanwhile_is_not_computed_again(
    cheap, data, tmp_path, monkeypatch
):
    one = run(cheap, data, tmp_path)
    assert next(one).note == "done"
    result_of(run(cheap, data, tmp_path))
    monkeypatch.setattr(ClassificationBench, "run", None)
    assert list(one) == []


def test_a_row_may_begin_like_those_without_labels(cheap, data, tmp_path):
    methods = {"supervised": cheap.methods["supervised"]}
    methods["zero-label-like"] = methods["supervised"].model_copy(update={"method": "supervised"})
    recipe = cheap.model_copy(update={"methods": methods, "descriptors": False, "draws": 1})
    store = result_of(run(recipe, data, tmp_path))
    found = {cell["row"]: cell for cell in finished_cells(recipe, store)}
    assert found["zero-label-like"]["steps"] == 4
    write_report(recipe, store, tmp_path, "test", "")
    assert "| 9 | zero-label-like | 1 |" in (tmp_path / "small.md").read_text()


@pytest.mark.parametrize("change", ["points", "pixel size", "fields", "splits"])
def test_other_data_under_the_same_name_is_refused(cheap, data, tmp_path, change):
    shutil.copytree(data, tmp_path / "data")
    one = run(cheap, tmp_path / "data", tmp_path / "out")
    assert next(one).note == "done"
    one.close()
    file, old, new = {
        "points": ("points.csv", "inflammatory", "epithelial"),
        "pixel size": ("dataset.json", '"mpp": 0.5', '"mpp": 0.51'),
        "fields": ("dataset.json", "{", '{"fields": {"target_train": [[0, 0, 90, 90]]},'),
        "splits": ("images.csv", '"train"', '"validation"'),
    }[change]
    changed = tmp_path / "data" / "target" / file
    text = changed.read_text()
    assert old in text
    changed.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=r"of other settings or data \(the target .* another"):
        list(run(cheap, tmp_path / "data", tmp_path / "out"))


def test_another_data_set_for_the_parent_is_refused(types_recipe, data, tmp_path):
    labels = read_data(types_recipe, data, split="test")
    open_store(types_recipe, tmp_path, split="test", labels=labels)
    other = {**labels, "parent": labels["target"]}
    with pytest.raises(ConfigError, match=r"\(the parent train set is another one, the parent v"):
        open_store(types_recipe, tmp_path, split="test", labels=other)


def test_two_parts_in_one_folder_make_the_whole(cheap, data, tmp_path):
    for part in ((1, 2), (2, 2)):
        before = len(finished_cells(cheap, open_store(cheap, tmp_path, split="test")))
        result_of(run(cheap, data, tmp_path, part=part))
        assert (
            0 < len(finished_cells(cheap, open_store(cheap, tmp_path, split="test"))) - before < 4
        )
    assert len(finished_cells(cheap, open_store(cheap, tmp_path, split="test"))) == 4


def test_a_parent_that_was_stopped_is_trained_on(types_recipe, data, tmp_path):
    steps = run(types_recipe, data, tmp_path)
    assert next(steps).note.startswith("parent, step 2 of 4")
    steps.close()
    again = run(types_recipe, data, tmp_path)
    assert next(again).note.startswith("parent, step 4 of 4")
    again.close()


def test_the_report_holds_table_figure_and_command(types_recipe, finished, tmp_path):
    store, cells = finished
    paths = write_report(types_recipe, store, tmp_path, "test", "nucbudget budget small")
    assert [p.name for p in paths] == ["small.csv", "small.md", "small-budget.svg"]
    text = (tmp_path / "small.md").read_text()
    assert "`nucbudget budget small`" in text
    assert "| 9 | supervised | 2 |" in text
    assert "`small-parent` as it is" in text
    assert "missing" not in text
    assert len(tidy_table(list(cells.values()))) == 3 + 2 + 3 * 6


def test_a_report_of_nothing_is_refused(types_recipe, tmp_path):
    store = open_store(types_recipe, tmp_path, split="test")
    with pytest.raises(ConfigError, match="no finished cell of small yet"):
        write_report(types_recipe, store, tmp_path, "test", "")


def test_time_left_is_told_after_the_first_training(cheap, data, tmp_path):
    reports = list(run(cheap, data, tmp_path))
    left = [r.remaining_s for r in reports if r.note == "done"]
    assert left[:2] == [None, None]
    assert left[2] > 0
    assert math.isclose(left[3], 0)
