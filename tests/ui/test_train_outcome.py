"""What becomes of a training: applied, rolled back, left with its project, deleted."""

from __future__ import annotations

import dataclasses
import shutil
import threading

import numpy as np
import pytest

from napari_nucbudget.models.library import model_folder
from napari_nucbudget.project import Records
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import Progress
from napari_nucbudget.ui import train_widget
from napari_nucbudget.ui.apply_model import Application

pytestmark = pytest.mark.timeout(900)


def test_a_project_that_is_closed_meanwhile_ends_applying_and_training_without_a_word(
    bench, tiny_model
):
    dock, outcome = bench.dock, bench.dock.outcome
    errors = []
    outcome.failed.connect(errors.append)
    outcome.show_model(tiny_model, None, "tiny")
    bench.viewer.reset_view()
    outcome._apply(whole=True)
    assert outcome.apply_job.running
    bench.session.close_project()
    bench.wait(lambda: not outcome.apply_job.running)
    outcome._applied(Nuclei.empty())  # a result that was on its way
    assert errors == []
    assert not outcome.isVisible()

    assert bench.session.ensure() is not None
    bench.train(2000)
    bench.wait(lambda: dock.process.running)
    bench.session.close_project()
    assert not dock.process.running
    assert dock.status.text() == ""
    assert not dock.pause.isEnabled()


@pytest.mark.parametrize("then", ["another is opened", "it is closed"])
def test_a_project_that_is_left_while_its_labels_are_written_trains_nothing(
    bench, tmp_path, monkeypatch, then
):
    dock, session = bench.dock, bench.session
    write, left = train_widget.written_run, threading.Event()

    def slow(*given):
        while not left.wait(0.01):
            yield Progress(0, 1)
        return (yield from write(*given))

    monkeypatch.setattr(train_widget, "written_run", slow)
    bench.train(2000)
    assert dock.job.running
    if then == "it is closed":
        session.close_project()
    else:
        session.open(tmp_path / "other.nucbudget")
        session.ensure()
    left.set()
    bench.wait(lambda: not dock.job.running)
    assert not dock.process.running
    assert dock.status.text() == ""
    assert session.store is None or Records(session.store).runs() == []


def test_rolling_back_after_another_edit_applies_the_parent(bench, tiny_model, tmp_path):
    dock, outcome, store = bench.dock, bench.dock.outcome, bench.session.store
    model = shutil.copytree(tiny_model, tmp_path / "run" / "model")
    dock.form.add_own(model)
    outcome.show_model(model, None, "tiny")
    bench.viewer.reset_view()
    bench.click(outcome.view)
    bench.wait(lambda: not outcome.apply_job.running)
    bench.session.edit(lambda store: store.add(bench.image, (200, 300)))
    assert dock.form.parent_model == str(model)
    bench.click(outcome.back)
    bench.wait(lambda: not outcome.apply_job.running)
    assert Records(store).models()[-1].path == str(model_folder("tiny"))
    assert "nuclei from" in outcome.note.text()
    assert dock.form.parent_model == "tiny"
    assert outcome.view.isEnabled()
    assert outcome.image.isEnabled()
    assert not outcome.back.isEnabled()


def test_an_application_that_the_project_refuses_is_not_noted(bench, drawn):
    session, outcome, used = bench.session, bench.dock.outcome, []
    outcome.applied.connect(used.append)
    found = Nuclei.from_points(drawn.yx[100:150], score=0.6, origin="tiny")
    session.edit(lambda store: store.add_proposals(bench.image, found))
    proposals = session.store.nuclei(bench.image, which="proposed")
    session.edit(lambda store: store.edit_class("epithelial", new_name="tumour"))
    whole = Region(0, 0, 240, 320)
    outcome._asked = Application("tiny", "classification", bench.image, None, 0.5, whole, proposals)
    typed = dataclasses.replace(proposals, label=np.zeros(len(proposals), np.int16))
    outcome._applied(typed)
    assert bench.dock.error.text() != ""
    assert Records(session.store).models() == []
    assert used == []
    assert not outcome.back.isEnabled()


def test_a_run_folder_that_was_deleted_is_offered_no_more(bench, tiny_model, tmp_path):
    form = bench.dock.form
    own = [shutil.copytree(tiny_model, tmp_path / name) for name in ("one", "two")]
    for folder in own:
        form.add_own(folder)
    assert form.start.findData(str(own[0])) >= 0
    shutil.rmtree(own[0])
    form.offer()
    assert form.start.findData(str(own[0])) < 0 <= form.start.findData(str(own[1]))
    assert not form.start.signalsBlocked()
