from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from napari_nucbudget.budget.figures import figures_of
from napari_nucbudget.budget.report import tidy_table
from napari_nucbudget.budget.svg import Panel, Series, chart
from napari_nucbudget.budget.tables import classification_text

SVG = "{http://www.w3.org/2000/svg}"


def cell(row, seed, last, chosen=None, budget="9"):
    def scores(f1):
        return {
            "images": 1,
            "nuclei": 25,
            "mpp": 0.55,
            "accuracy": f1,
            "macro_f1": f1 - 0.1,
            "weighted_f1": f1,
            "weighted_f1_ci": [f1 - 0.2, f1 + 0.2],
            "class_f1": {"epithelial": f1, "inflammatory": 0.5},
            "ece": 0.05,
            "confusion": [[1]],
        }

    found = {"last": scores(last)} | ({"validation": scores(chosen)} if chosen else {})
    facts = {"row": row, "budget": budget, "seed": seed, "labels": 9, "train_seconds": 10.0 + seed}
    return {**facts, "scores": found, "model": "colon", "validation_labels": 1000}


CELLS = [
    cell("zero-label", 0, 0.4, budget="0"),
    cell("supervised", 0, 0.60, 0.62),
    cell("supervised", 1, 0.64, 0.64),
    cell("fine-tune", 0, 0.70, 0.70),
    cell("fine-tune", 1, 0.78, 0.80),
    cell("fine-tune", 2, 0.90, 0.90),
]


@pytest.fixture
def text(types_recipe):
    return classification_text(
        types_recipe, CELLS, total=8, split="test", command="go", figures={"F1": "f.svg"}
    )


def line(text, start):
    (found,) = [one for one in text.splitlines() if one.startswith(start)]
    return [part.strip() for part in found.strip("|").split("|")]


def test_means_and_deviations_are_over_draws(text):
    baseline = line(text, "| 9 | supervised | 2 | 0")
    assert baseline[3] == "0.620 ± 0.028"
    assert baseline[4] == ""
    assert baseline[5] == "0.630 ± 0.014"
    assert baseline[-1] == "10"


def test_differences_are_taken_on_the_draws_that_both_have(text):
    found = line(text, "| 9 | fine-tune | 3 | 0")
    assert found[3] == "0.793 ± 0.101"
    # 0.10 and 0.14: half the width is 12.706 x 0.0283 / sqrt 2
    assert found[4] == "+0.120 (-0.134 to +0.374; 2 draws)"


def test_the_model_without_labels_stands_first_and_alone(text):
    found = line(text, "| 0 |")
    assert found[1:5] == ["`colon` as it is", "1", "0.400", ""]
    assert text.index("| 0 |") < text.index("| 9 |")


def test_what_validation_labels_bring_has_a_table_of_its_own(text):
    tail = text[text.index("with 1,000 validation labels brings") :]
    assert line(tail, "| 9 | supervised")[3] == "+0.010 (-0.117 to +0.137; 2 draws)"


def test_a_bar_in_a_name_does_not_end_its_column(types_recipe):
    cells = [{**c, "row": "a|b"} if c["row"] == "fine-tune" else c for c in CELLS]
    rows = {"supervised": types_recipe.methods["supervised"]}
    recipe = types_recipe.model_copy(update={"methods": {**rows, "a|b": rows["supervised"]}})
    text = classification_text(recipe, cells, total=6, split="test", command="go", figures={})
    assert "| 9 | a\\|b | 3 | 0.793" in text


def test_missing_runs_are_told(text):
    assert "**2 of 8 runs are missing.**" in text
    assert "![F1](f.svg)" in text


def test_the_tidy_table_has_one_row_a_cell_and_choice():
    table = tidy_table(CELLS)
    assert len(table) == 1 + 5 * 2
    one = table[(table["row"] == "fine-tune") & (table["seed"] == 1)].set_index("scored")
    assert one.loc["validation", "weighted_f1"] == 0.80
    assert one.loc["last", "class_f1_epithelial"] == 0.78
    assert one.loc["last", "weighted_f1_ci_low"] == pytest.approx(0.58)


def test_the_figure_marks_every_mean_and_names_every_row(types_recipe):
    title, svg = figures_of(types_recipe, CELLS)["budget"]
    root = ET.fromstring(svg)
    assert title == "weighted F1 on target"
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"supervised", "fine-tune", "colon, no label", "9"} <= words
    assert len(list(root.iter(f"{SVG}circle"))) == 2


def test_scores_that_are_all_perfect_have_a_figure(types_recipe):
    _, svg = figures_of(types_recipe, [cell("supervised", seed, 1.0) for seed in range(2)])[
        "budget"
    ]
    assert len(list(ET.fromstring(svg).iter(f"{SVG}circle"))) == 1


def test_a_higher_value_is_drawn_higher():
    series = Series("a", [(0.0, 0.2), (1.0, 0.8)])
    panel = Panel("p", "x", "y", [series], (0.0, 1.0), (0.0, 1.0))
    dots = list(ET.fromstring(chart([panel], title="t")).iter(f"{SVG}circle"))
    low, high = dots
    assert float(low.get("cy")) > float(high.get("cy"))
    assert float(low.get("cx")) < float(high.get("cx"))


def test_names_are_escaped():
    panel = Panel("a < b & c", "x", "y", [], (0.0, 1.0), (0.0, 1.0))
    assert "a < b & c" in {
        t.text for t in ET.fromstring(chart([panel], title="")).iter(f"{SVG}text")
    }


def test_one_look_has_a_table_of_its_own_where_it_was_taken(types_recipe, text):
    assert "looked at once\n" not in text
    cells = [
        {**c, "scores": {**c["scores"], "once": {"weighted_f1": c["seed"] / 10 + shift}}}
        for row, shift in (("supervised", 0.5), ("fine-tune", 0.6))
        for c in CELLS
        if c["row"] == row and c["seed"] < 2
    ]
    both = classification_text(types_recipe, cells, total=4, split="test", command="go", figures={})
    tail = both[both.index("## Each nucleus looked at once") :]
    assert line(tail, "| 9 | supervised | 2 | 0.550")[4] == ""
    assert line(tail, "| 9 | fine-tune | 2 | 0.650")[4] == "+0.100 (+0.100 to +0.100; 2 draws)"
