from __future__ import annotations

import json

import pytest

from napari_nucbudget.budget.cells import CellStore, cells_of, part_of
from napari_nucbudget.budget.recipe import Method, read_recipe
from napari_nucbudget.errors import ConfigError
from napari_nucbudget.models.library import load_card

FACTS = {"split": "test"}


def test_cells_are_every_row_budget_and_draw_once(types_recipe):
    ids = [cell.id for cell in cells_of(types_recipe)]
    assert len(set(ids)) == len(ids)
    rows = ("descriptors", "supervised", "fine-tune")
    drawn = ("9-0", "9-1", "100pc-0")
    assert set(ids) == {"zero-label-0-0"} | {f"{row}-{d}" for row in rows for d in drawn}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("name", ["table3-breast", "table2-prostate"])
def test_parts_are_disjoint_and_complete(name, count):
    cells = cells_of(read_recipe(name))
    parts = [part_of(cells, (i + 1, count)) for i in range(count)]
    ids = [cell.id for part in parts for cell in part]
    assert sorted(ids) == sorted(cell.id for cell in cells)


def test_two_parts_take_about_equally_long():
    cells = cells_of(read_recipe("table3-breast"))
    one, other = (sum(c.cost for c in part_of(cells, (i, 2))) for i in (1, 2))
    assert abs(one - other) < 0.1 * (one + other)


def test_what_is_saved_is_there_for_the_next_process(types_recipe, types_found, tmp_path):
    cell = cells_of(types_recipe)[-1]
    CellStore(tmp_path, types_recipe, FACTS).save(cell, types_found)
    again = CellStore(tmp_path, types_recipe, FACTS)
    found = again.load(cell)
    assert (found["row"], found["budget"], found["seed"]) == (cell.row, cell.budget, cell.seed)
    assert found["scores"]["last"]["weighted_f1"] == 0.5
    assert again.load(cells_of(types_recipe)[0]) is None


@pytest.mark.parametrize(
    ("change", "facts"),
    [({"target": "source"}, FACTS), ({"name": "other"}, FACTS), ({}, {"split": "validation"})],
)
def test_a_folder_of_other_settings_is_refused(types_recipe, tmp_path, change, facts):
    CellStore(tmp_path, types_recipe, FACTS)
    with pytest.raises(ConfigError, match="holds cells of other settings"):
        CellStore(tmp_path, types_recipe.model_copy(update=change), facts)


def with_rows(recipe, rows):
    return recipe.model_copy(update={"methods": recipe.methods | rows})


def test_a_finished_cell_that_ran_with_other_settings_is_refused(
    types_recipe, types_found, tmp_path
):
    cell = next(c for c in cells_of(types_recipe) if c.row == "supervised")
    CellStore(tmp_path, types_recipe, FACTS).save(cell, types_found)
    changed = with_rows(types_recipe, {"supervised": Method(settings={"steps": 9})})
    with pytest.raises(ConfigError, match=r"supervised-9-0.json was run .*steps was 4, is 9"):
        CellStore(tmp_path, changed, FACTS)


def test_rows_and_draws_may_be_added_later(types_recipe, types_found, tmp_path):
    cell = next(c for c in cells_of(types_recipe) if c.row == "supervised")
    CellStore(tmp_path, types_recipe, FACTS).save(cell, {**types_found, "kept": True})
    more = with_rows(types_recipe, {"gamma-ladder": Method()}).model_copy(update={"draws": 9})
    assert CellStore(tmp_path, more, FACTS).load(cell)["kept"]


def test_a_damaged_cell_is_named(types_recipe, tmp_path):
    cell = cells_of(types_recipe)[0]
    store = CellStore(tmp_path, types_recipe, FACTS)
    store.save(cell, {})
    (tmp_path / "cells" / f"{cell.id}.json").write_text("{")
    with pytest.raises(ConfigError, match=rf"{cell.id}.json cannot be read.*Delete it"):
        store.load(cell)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": None}, "scores: Input should be"),
        ({"scores": {}}, "it has no scores of 'last'"),
        ({"scores": {"last": {"task": "classification"}}}, r"scores.last.images: Field required"),
        ({"settings": 3}, "settings: Input should be"),
        ({"labels": "many"}, "labels: Input should be"),
        ({"row": "fine-tune"}, "it holds fine-tune, 9, draw 0"),
    ],
)
def test_a_cell_that_lacks_what_the_tables_need_is_named(
    types_recipe, types_found, tmp_path, change, words
):
    cell = next(c for c in cells_of(types_recipe) if c.row == "supervised")
    found = CellStore(tmp_path, types_recipe, FACTS).save(cell, types_found)
    path = tmp_path / "cells" / f"{cell.id}.json"
    path.write_text(json.dumps({**found, **change}))
    with pytest.raises(ConfigError, match=rf"{cell.id}.json is damaged \({words}.*Delete it and"):
        CellStore(tmp_path, types_recipe, FACTS)


def test_a_cell_of_an_unnamed_model_or_without_its_curve_is_damaged(
    types_recipe, fields_recipe, types_found, tmp_path
):
    first = cells_of(types_recipe)[0]
    store = CellStore(tmp_path / "types", types_recipe, FACTS)
    store.save(first, types_found)
    with pytest.raises(ConfigError, match="it does not name its model"):
        store.load(first)
    store = CellStore(tmp_path / "fields", fields_recipe, FACTS)
    cell = cells_of(fields_recipe)[-1]
    store.save(cell, {"labels": 2, "train_seconds": 1.0, "scores": {}})
    with pytest.raises(ConfigError, match="precision_at_recall: Field required"):
        store.load(cell)


@pytest.mark.parametrize("parent", [False, True])
def test_a_cell_tells_whether_it_starts_from_the_parent(fields_recipe, tmp_path, parent):
    row = Method(method="detection", parent=parent, settings={"parent_share": 0.0})
    recipe = with_rows(fields_recipe, {"scratch": row})
    cell = next(c for c in cells_of(recipe) if c.row == "scratch")
    saved = CellStore(tmp_path, recipe, FACTS).save(cell, {})
    assert saved["settings"]["parent"] is parent


def test_descriptors_at_another_pixel_size_are_refused(types_recipe, types_found, tmp_path):
    cell = next(c for c in cells_of(types_recipe) if c.row == "descriptors")
    CellStore(tmp_path, types_recipe, FACTS).save(cell, types_found)
    changed = types_recipe.model_copy(update={"settings": {"mpp": 0.25}})
    with pytest.raises(ConfigError, match=r"descriptors-9-0.json was run .*mpp was 0.55, is 0.25"):
        CellStore(tmp_path, changed, FACTS)


def test_a_model_as_it_is_with_other_weights_is_refused(
    types_recipe, types_found, tmp_path, monkeypatch
):
    recipe = types_recipe.model_copy(update={"zero_label": ["colon-patch-cnn"]})
    cell = next(c for c in cells_of(recipe) if c.model)
    CellStore(tmp_path, recipe, FACTS).save(cell, {**types_found, "model": "colon-patch-cnn"})
    card = load_card("colon-patch-cnn").model_copy(update={"weights_sha256": "0" * 64})
    monkeypatch.setattr("napari_nucbudget.budget.cells.load_card", lambda name: card)
    with pytest.raises(ConfigError, match=r"patch-cnn-0-0.json .*\(the model is another one\)"):
        CellStore(tmp_path, recipe, FACTS)


def test_facts_and_settings_that_an_older_folder_lacks_are_no_contradiction(
    types_recipe, types_found, tmp_path
):
    cell = next(c for c in cells_of(types_recipe) if c.row == "supervised")
    CellStore(tmp_path, types_recipe, FACTS).save(cell, types_found)
    path = tmp_path / "cells" / f"{cell.id}.json"
    older = json.loads(path.read_text())
    del older["settings"]["parent"]
    path.write_text(json.dumps(older))
    more = {**FACTS, "target_train_set_sha256": "1"}
    assert CellStore(tmp_path, types_recipe, more).load(cell)
    with pytest.raises(ConfigError, match="the target train set is another one"):
        CellStore(tmp_path, types_recipe, {**FACTS, "target_train_set_sha256": "2"})
    assert CellStore(tmp_path, types_recipe, FACTS).load(cell)  # a report reads no images
