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
        ('"9", "100%"]', '"9", "100%", "09"]', "budgets: Value error, '09' is there twice"),
        ('budgets = ["9"]', 'budgets = ["5%", "5.0%"]', r"quick.budgets: .*'5.0%' is there twice"),
        (
            "[methods.fine-tune]",
            "[methods.fine-tune]\nparent = false",
            "'fine-tune': the method 'fine-tune' needs a parent; leave out parent = false",
        ),
        (
            "[methods.supervised]",
            "[methods.supervised]\nparent = true",
            "'supervised': .*starts afresh and takes no parent; leave out parent = true",
        ),
        (
            'data = ["source"]',
            'data = ["source"]\nmethod = "detection"',
            r"\[parent\]: the method 'detection' is for detection",
        ),
        (
            'data = ["source"]',
            'data = ["source"]\nmethod = "fine-tune"',
            r"\[parent\]: the method 'fine-tune' needs a parent",
        ),
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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("zero-label", "'zero-label' is the name of a row without training"),
        ("descriptors", "'descriptors' is the name of a row without training"),
        ("SUPERVISED", "the rows 'supervised' and 'SUPERVISED' would share their files"),
        (" ", "' ' cannot be the name of a row"),
        ("a\\nb", r"'a\\nb' cannot be the name of a row"),
    ],
)
def test_a_row_that_could_not_be_told_from_others_is_refused(
    write_recipe, types_text, row, message
):
    more = f'[methods."{row}"]\nmethod = "supervised"\n[parent]'
    with pytest.raises(ConfigError, match=message):
        read_recipe(str(write_recipe(types_text.replace("[parent]", more))))


def test_rows_and_models_that_differ_in_odd_signs_alone_are_refused(write_recipe, types_text):
    rows = '[methods."a b"]\nmethod = "supervised"\n[methods.a_b]\nmethod = "supervised"\n'
    models = 'zero_label = ["m/a", "m_a"]\n[methods.supervised]'
    for old, new, names in (
        ("[parent]", f"{rows}[parent]", "'a b' and 'a_b'"),
        ("[methods.supervised]", models, "'zero-label m/a' and 'zero-label m_a'"),
    ):
        with pytest.raises(ConfigError, match=f"the rows {names} would share their files"):
            read_recipe(str(write_recipe(types_text.replace(old, new))))


def test_an_unknown_recipe_is_answered_with_near_misses():
    with pytest.raises(ConfigError, match=r"no recipe 'table3-brest'.*table3-breast"):
        read_recipe("table3-brest")
