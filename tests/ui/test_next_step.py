"""The line "What do I do next?": a table of states and what is said in them."""

from __future__ import annotations

import pytest

from napari_nucbudget.project import Records, open_project
from napari_nucbudget.ui.next_step import Facts, _training, next_step

SOME = {"epithelial": 14, "inflammatory": 9, "miscellaneous": 0}
ENOUGH = {"epithelial": 14, "inflammatory": 20, "miscellaneous": 14}
NONE = dict.fromkeys(ENOUGH, 0)
WITHOUT_CHECK = frozenset(("Detect", "Annotate", "Teach", "Export"))
FIRST_DOCKS = frozenset(("Detect", "Annotate", "Export"))


@pytest.mark.parametrize(
    ("facts", "dock", "words"),
    [
        (Facts(image=False), "", "Open an H&E image"),
        (Facts(read_only=True, labels=ENOUGH), "Export", "open elsewhere"),
        (Facts(mpp=False), "Detect", "Type the pixel size"),
        (Facts(), "Detect", "Detect the nuclei in what is on screen, then keep"),
        (Facts(labels=NONE), "Detect", "Detect the nuclei"),
        (Facts(proposals=90, labels=NONE), "Annotate", "Accept or correct proposals"),
        (Facts(proposals=90, labels=NONE), "Annotate", "14 of each"),
        (Facts(labels=NONE, unlabelled=3), "Annotate", "Click nuclei, and give them classes"),
        (Facts(labels=SOME), "Annotate", "5 more inflammatory and 14 more miscellaneous"),
        (Facts(labels=NONE, unlabelled=50, fields=1), "Teach", "the detector on 1 field"),
        (Facts(labels=ENOUGH), "Teach", "Fine-tune a model on the 48 labelled nuclei"),
        (Facts(labels=SOME, training="running"), "Annotate", "being trained"),
        (Facts(labels=SOME, training="waiting"), "Teach", "continue or cancel it"),
        (Facts(labels=ENOUGH, training="failed"), "Teach", "did not end well"),
        (Facts(labels=ENOUGH, training="done"), "Teach", "Apply the trained model"),
        (Facts(labels=ENOUGH, training="done", applied=True), "Annotate", "Declare a field"),
        (
            Facts(labels=ENOUGH, training="done", applied=True, fields=1),
            "Check",
            "Check the model in 1 field; then export",
        ),
        (
            Facts(labels=ENOUGH, training="done", applied=True, fields=1, checked="3 May: F1 0.8"),
            "Export",
            "Checked 3 May: F1 0.8. Export",
        ),
        (
            Facts(labels=ENOUGH, training="done", applied=True, fields=2, docks=WITHOUT_CHECK),
            "Export",
            "Export the 48 labelled nuclei",
        ),
        (Facts(labels=ENOUGH, docks=FIRST_DOCKS), "Export", "Export the 48 labelled nuclei"),
    ],
)
def test_each_state_has_its_step(facts: Facts, dock: str, words: str) -> None:
    step = next_step(facts)
    assert words in step.sentence
    assert step.dock == dock


def test_a_training_is_done_when_it_left_a_model_and_applied_once_that_was_used(tmp_path):
    model = tmp_path / "run" / "model"
    with open_project(tmp_path / "p.nucbudget", annotator="Ann") as store:
        records = Records(store)
        assert _training(store, False) == ("none", False)
        first = records.start_run(str(model.parent), {})
        assert _training(store, True) == ("running", False)
        assert _training(store, False) == ("failed", False)  # its folder is gone
        model.parent.mkdir()
        assert _training(store, False) == ("waiting", False)
        records.end_run(first, "done", {"model": str(model)})
        assert _training(store, False) == ("done", False)
        records.use_model("run", "classification", path=str(model))
        assert _training(store, False) == ("done", True)
        for state, left in (("cancelled", ("done", True)), ("failed", ("failed", False))):
            run = records.start_run(str(tmp_path / state), {})
            records.end_run(run, state, {"model": None})
            assert _training(store, False) == left
        run = records.start_run(str(tmp_path / "stopped"), {})
        records.end_run(run, "cancelled", {"model": str(tmp_path / "stopped" / "model")})
        assert _training(store, False) == ("done", False)
