"""Teaching in a real window: a child process trains, and the window stays usable."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time

import numpy as np
import pytest
import torch
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_nucbudget.cli import main
from napari_nucbudget.models.library import load_card
from napari_nucbudget.project import Records
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui import train_widget
from tests.ui.teaching import UM

pytestmark = pytest.mark.timeout(900)


def test_a_click_trains_and_the_copied_command_gives_the_same_weights(bench):
    dock = bench.dock
    assert "too few to hold one out" in dock.told.text()
    (row,) = dock.split.rows
    assert row.name.startswith("biopsy [")  # pixels without a file are known by their hash
    assert row.used == "train"
    bench.train(4)
    bench.wait(lambda: dock.outcome.isVisible())
    assert dock.error.text() == ""
    assert [step for step, _ in dock.curves.loss.lines["loss"]] == [1, 2, 3, 4]
    assert "Nothing is held out" in dock.outcome.note.text()
    model = dock.outcome._model
    run = Records(bench.session.store).runs()[0]
    assert (run.state, run.result["model"], run.config["images"]) == ("done", str(model), [1])

    assert dock.form.steps.value() == 4
    bench.click(dock.copy)
    bench.wait(lambda: "clipboard" in dock.status.text())
    words = shlex.split(QApplication.clipboard().text())
    assert words[:3] == ["nucbudget", "train", "detector"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the dock's child, by OMP_NUM_THREADS
    main(words[1:])
    torch.set_num_threads(threads)
    by_command = words[words.index("--out") + 1]
    assert load_card(by_command).weights_sha256 == load_card(model).weights_sha256
    assert load_card(model).weights_sha256 != load_card("tiny").weights_sha256

    bench.viewer.reset_view()
    bench.click(dock.outcome.image)
    bench.wait(lambda: not dock.outcome.apply_job.running)
    store = bench.session.store
    assert set(store.nuclei(bench.image, which="proposed").origin) <= {load_card(model).name}
    assert Records(store).models()[-1].weights_sha256 == load_card(model).weights_sha256
    dock.outcome.name.setText("mine")
    bench.click(dock.outcome.keep)
    assert load_card("mine").weights_sha256 == load_card(model).weights_sha256
    assert dock.form.start.findData("mine") >= 0
    bench.click(dock.outcome.back)
    assert not len(store.nuclei(bench.image, which="proposed"))
    assert dock.form.parent_model == "tiny"


def test_pausing_killing_and_cancelling_lose_nothing_and_the_window_answers(bench):
    dock = bench.dock
    late, last = [], [time.thread_time()]

    def tick():  # in time of this thread, so that other programs do not count
        now = time.thread_time()
        late.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    bench.train(2000)
    bench.wait(lambda: dock.process.running)
    last[0] = time.thread_time()
    timer.start(10)
    bench.wait(lambda: len(dock.curves.loss.lines.get("loss", ())) >= 1)
    timer.stop()
    assert max(late) < 0.2

    bench.click(dock.pause)
    assert not dock.process.running
    assert dock.pause.text() == "&Continue"
    before = len(dock.curves.reports)
    bench.click(dock.pause)
    bench.wait(lambda: len(dock.curves.reports) > before)
    assert [r.epoch for r in dock.curves.reports] == list(range(len(dock.curves.reports)))

    os.kill(dock.process.pid, signal.SIGKILL)
    bench.wait(lambda: not dock.process.running)
    assert "ended from outside (signal 9)" in dock.error.text()
    assert "best weights so far are kept" in dock.error.text()
    assert Records(bench.session.store).runs()[0].state == "failed"
    assert dock.outcome.isVisible()
    assert dock.outcome.view.isEnabled()
    assert dock.pause.text() == "&Continue"

    bench.click(dock.train)
    bench.wait(lambda: dock.process.running)
    started = time.perf_counter()
    bench.click(dock.cancel)
    assert time.perf_counter() - started < 1.0
    assert not dock.process.running
    assert Records(bench.session.store).runs()[0].state == "cancelled"
    assert dock.train.isEnabled()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
def test_memory_that_runs_out_in_the_child_leaves_a_message_and_the_best_weights(
    bench, monkeypatch
):
    import resource

    # The child asks the system for every larger piece anew, and does not live on what it has.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    dock = bench.dock
    bench.train(2000)
    bench.wait(lambda: len(dock.curves.reports) >= 1)
    no_more = (1, resource.getrlimit(resource.RLIMIT_AS)[1])
    resource.prlimit(dock.process.pid, resource.RLIMIT_AS, no_more)
    bench.wait(lambda: not dock.process.running)
    assert dock.error.text().startswith("Memory ran out while training.")
    assert dock.error.text().endswith("The best weights so far are kept.")
    assert Records(bench.session.store).runs()[0].state == "failed"
    assert dock.outcome.view.isEnabled()
    assert dock.train.isEnabled()


def test_a_training_that_was_cut_off_is_offered_again_after_reopening(bench):
    dock, store = bench.dock, bench.session.store
    folder = store.path.with_name("cut-off")
    folder.mkdir()
    report = {"epoch": 0, "step": 5, "steps": 50, "loss": {"total": 0.5}, "validation": {}}
    report |= {"score": 1.0, "best_epoch": 0, "seconds": 2.0, "is_best": True}
    (folder / "reports.jsonl").write_text(json.dumps(report) + "\n" + '{"epoch": 1, "st')
    Records(store).start_run(str(folder), {"parent": "tiny", "arguments": ["train"]})
    path = store.path
    bench.session.close_project()
    assert bench.session.open(path)
    assert "was cut off at step 5" in dock.status.text()
    assert dock.pause.text() == "&Continue"
    assert not dock.train.isEnabled()
    bench.click(dock.cancel)
    assert dock.train.isEnabled()
    assert Records(bench.session.store).runs()[0].state == "cancelled"


def test_who_only_reads_a_project_is_not_offered_to_continue_its_training(bench):
    dock, store = bench.dock, bench.session.store
    folder, path = store.path.with_name("running"), store.path
    folder.mkdir()
    Records(store).start_run(str(folder), {"parent": "tiny", "arguments": ["train"]})
    bench.session.close_project()
    assert bench.session.open(path, read_only=True)
    assert dock.status.text() == ""
    assert not dock.pause.isEnabled()
    assert not dock.cancel.isEnabled()


def test_too_few_labels_are_refused_with_numbers(bench):
    dock = bench.dock
    bench.session.edit(lambda store: store.remove_field(store.fields()[0].id))
    bench.settle()
    assert "0 fields with 0 dots" in dock.problem.text()
    assert not dock.train.isEnabled()
    dock.form.what.setCurrentIndex(1)
    ids = bench.session.store.nuclei(bench.image).id
    bench.session.edit(lambda store: store.relabel(ids[:2], "epithelial"))
    bench.settle()
    assert "epithelial 2, inflammatory 0, miscellaneous 0" in dock.problem.text()
    bench.session.edit(lambda store: store.relabel(ids[2:12], "inflammatory"))
    bench.session.edit(lambda store: store.relabel(ids[12:22], "miscellaneous"))
    bench.settle()
    assert not dock.problem.isVisible()
    assert dock.train.isEnabled()


def give_classes(bench, ids):
    """A third of the nuclei each class."""
    for start, name in enumerate(bench.session.store.classes.names):
        bench.session.edit(lambda store, c=ids[start::3], n=name: store.relabel(c, n))


def test_proposals_of_an_image_that_no_model_reads_are_said(bench):
    dock, session = bench.dock, bench.session
    give_classes(bench, session.store.nuclei(bench.image).id)
    bench.viewer.add_image(np.zeros((100, 100), np.uint8), name="grey", **UM)
    image = session.ensure()
    found = Nuclei.from_points([(20, 20)], score=0.9, origin="other")
    session.edit(lambda store: store.add_proposals(image, found))
    dock.form.what.setCurrentIndex(1)
    dock.form.choose("")
    bench.settle()
    bench.click(dock.train)
    assert "grey" in dock.error.text()
    assert not dock.job.running


def test_nothing_is_planned_while_the_dock_is_hidden(bench, monkeypatch):
    dock, session, planned = bench.dock, bench.session, []
    plan = train_widget.plan_training
    monkeypatch.setattr(
        train_widget, "plan_training", lambda *a, **k: planned.append(1) or plan(*a, **k)
    )
    holder = dock.parentWidget()
    while not isinstance(holder, QDockWidget):
        holder = holder.parentWidget()
    holder.hide()  # as a tab in front of it does
    bench.wait(lambda: not dock.isVisible(), 5000)
    planned.clear()
    session.edit(lambda store: store.remove_field(store.fields()[0].id))
    bench.settle()
    path = session.store.path
    session.close_project()
    session.open(path)
    bench.settle()
    assert planned == []
    holder.show()
    bench.wait(dock.isVisible, 5000)
    assert planned == [1]
    assert "0 fields with 0 dots" in dock.problem.text()
    assert not dock.train.isEnabled()


def test_the_ladder_learns_from_proposals_of_open_images_too(bench, drawn):
    dock = bench.dock
    others = Nuclei.from_points(drawn.yx[100:150], score=0.6, origin="tiny")
    store = bench.session.store
    bench.session.edit(lambda store: store.add_proposals(bench.image, others))
    ids = store.nuclei(bench.image, which="human").id
    give_classes(bench, ids)
    dock.form.what.setCurrentIndex(1)
    dock.form.choose("")
    bench.settle()
    bench.click(dock.copy)
    bench.wait(lambda: "clipboard" in dock.status.text())
    words = shlex.split(QApplication.clipboard().text())
    from napari_nucbudget.io.label_sets import read_label_set

    read = read_label_set(words[words.index("--unlabelled") + 1])
    assert sum(len(image.nuclei) for image in read) == 50
    assert all((image.nuclei.label == -1).all() for image in read)
    labelled = read_label_set(words[words.index("--data") + 1])
    assert np.bincount(labelled.images[0].nuclei.label).tolist() == [14, 13, 13]
