from __future__ import annotations

import pytest

from napari_nucbudget.budget.cells import CellStore, cells_of, part_of
from napari_nucbudget.budget.recipe import Method, read_recipe
from napari_nucbudget.errors import ConfigError

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


def test_what_is_saved_is_there_for_the_next_process(types_recipe, tmp_path):
    cell = cells_of(types_recipe)[-1]
    CellStore(tmp_path, types_recipe, FACTS).save(cell, {"scores": {"last": 1}})
    again = CellStore(tmp_path, types_recipe, FACTS)
    found = again.load(cell)
    assert (found["row"], found["budget"], found["seed"]) == (cell.row, cell.budget, cell.seed)
    assert found["scores"] == {"last": 1}
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


def test_a_finished_cell_that_ran_with_other_settings_is_refused(types_recipe, tmp_path):
    cell = next(c for c in cells_of(types_recipe) if c.row == "supervised")
    CellStore(tmp_path, types_recipe, FACTS).save(cell, {})
    changed = with_rows(types_recipe, {"supervised": Method(settings={"steps": 9})})
    with pytest.raises(ConfigError, match=r"supervised-9-0.json was run .*steps was 4, is 9"):
        CellStore(tmp_path, changed, FACTS)


def test_rows_and_draws_may_be_added_later(types_recipe, tmp_path):
    cell = next(c for c in cells_of(types_recipe) if c.row == "supervised")
    CellStore(tmp_path, types_recipe, FACTS).save(cell, {"kept": True})
    more = with_rows(types_recipe, {"gamma-ladder": Method()}).model_copy(update={"draws": 9})
    assert CellStore(tmp_path, more, FACTS).load(cell)["kept"]


def test_a_damaged_cell_is_named(types_recipe, tmp_path):
    cell = cells_of(types_recipe)[0]
    store = CellStore(tmp_path, types_recipe, FACTS)
    store.save(cell, {})
    (tmp_path / "cells" / f"{cell.id}.json").write_text("{")
    with pytest.raises(ConfigError, match=rf"{cell.id}.json cannot be read.*Delete it"):
        store.load(cell)
