from __future__ import annotations

import pytest

from napari_nucbudget.budget.recipe import list_recipes, read_recipe
from napari_nucbudget.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize("name", sorted(list_recipes()))
def test_a_shipped_recipe_has_settings_for_every_run(name):
    recipe = read_recipe(name)
    for one in (recipe, recipe.quickened()):
        steps = [one.config(row, budget).steps for row in one.methods for budget in one.budgets]
        assert all(steps)


def test_methods_of_a_shipped_table_see_at_least_five_draws_of_each_share_below_all_labels():
    for name in list_recipes():
        recipe = read_recipe(name)
        shares = [b for b in recipe.budgets if b.endswith("%") and b != "100%"]
        assert shares
        assert all(recipe.draws_of(b) >= 5 for b in shares)


def test_settings_go_from_method_to_recipe_to_row_to_budget(write_recipe, types_text):
    text = types_text.replace(
        "[methods.supervised]\n",
        '[methods.supervised]\nat = { "9" = { batch_size = 7 } }\n',
    ).replace('baseline = "supervised"', 'baseline = "supervised"\nsettings = { warmup = 0.3 }')
    recipe = read_recipe(str(write_recipe(text)))
    few, every = (recipe.config("supervised", b, seed=4) for b in ("9", "100%"))
    assert (few.batch_size, every.batch_size) == (7, 6)
    assert few.warmup == 0.3
    assert few.learning_rate == 1e-3  # the method's default
    assert few.seed == 4
    assert few.method == "supervised"


def test_a_quick_run_is_short_and_has_another_name(types_recipe):
    quick = types_recipe.quickened()
    assert quick.name == "small-quick"
    assert quick.config("supervised", "9").steps == 2
    assert quick.parent_config().steps == 2
    assert quick.budgets == ["9"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("draws = 2", "draw = 2", "small.toml is not a recipe: draw: Extra inputs"),
        ("draws = 2", "draws = 0", "draws: Input should be greater than or equal to 1"),
        ('baseline = "supervised"', 'baseline = "supervise"', "Did you mean 'supervised'"),
        ('"9", "100%"]', '"few"]', "a number such as 40, or a percentage, got 'few'"),
        ("steps = 4,", "stepz = 4,", "There is no setting 'stepz'. Did you mean"),
        ('"100%" = 1', '"50%" = 1', "draws_at names budgets that it lacks"),
        ('data = ["source"]', "", "give either model, or data"),
        ("title =", "title", "cannot be read as TOML"),
        ('task = "classification"', 'task = "detection"', "is for classification"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_reason(write_recipe, types_text, old, new, message):
    assert old in types_text
    with pytest.raises(ConfigError, match=message):
        read_recipe(str(write_recipe(types_text.replace(old, new))))


def test_an_unknown_method_is_refused_with_near_misses(write_recipe, types_text):
    text = types_text.replace("[methods.fine-tune]", "[methods.fine-tun]")
    with pytest.raises(UnknownNameError, match=r"fine-tun.*Did you mean 'fine-tune'"):
        read_recipe(str(write_recipe(text)))


def test_a_row_that_needs_a_parent_needs_a_table_of_it(write_recipe, types_text):
    text = types_text[: types_text.index("[parent]")]
    with pytest.raises(ConfigError, match=r"'fine-tune' needs a \[parent\] table"):
        read_recipe(str(write_recipe(text)))


def test_an_unknown_recipe_is_answered_with_near_misses():
    with pytest.raises(ConfigError, match=r"no recipe 'table3-brest'.*table3-breast"):
        read_recipe("table3-brest")
