"""The dock "Export and import nuclei" in a real viewer."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_nucbudget.io.formats import read_points, write_points
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.ui.export_widget import ExportWidget

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}
FIELD = Region(0, 0, 120, 160)


class Desk:
    def __init__(self, viewer, dock, qtbot):
        self.viewer, self.dock, self.qtbot = viewer, dock, qtbot
        self.session = dock.session

    @property
    def store(self):
        return self.session.store

    def click(self, button):
        assert button.isVisible()
        assert button.isEnabled()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def settle(self):
        panels = (self.dock.out, self.dock.in_)
        self.qtbot.waitUntil(lambda: not any(p.job.running for p in panels), timeout=20_000)
        self.qtbot.waitUntil(lambda: not self.dock.out._soon.isActive())

    def label(self):
        """Two dots, one accepted and one open proposal; the field holds the dots."""
        image = self.session.ensure()
        found = Nuclei.from_points([(150, 200), (200, 300)], score=0.5, origin="darkness")
        self.session.edit(lambda store: store.add(image, [(10, 10), (30, 40.5)], "epithelial"))
        ids = self.session.edit(lambda store: store.add_proposals(image, found))
        self.session.edit(lambda store: store.accept(ids[:1]))
        self.session.edit(lambda store: store.add_field(image, FIELD))
        self.settle()
        return image

    def export(self, path, kind):
        out = self.dock.out
        self.dock.tabs.setCurrentWidget(out)
        out.format.setCurrentIndex(out.format.findData(kind))
        out.path.selectAll()
        self.qtbot.keyClicks(out.path, str(path))
        self.click(out.export)
        self.settle()

    def read(self, path):
        self.dock.tabs.setCurrentWidget(self.dock.in_)
        self.dock.in_.path.clear()
        self.qtbot.keyClicks(self.dock.in_.path, str(path))
        self.qtbot.keyClick(self.dock.in_.path, Qt.Key.Key_Return)
        self.settle()


@pytest.fixture
def desk(make_napari_viewer, qtbot, drawn):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    viewer.add_image(drawn.rgb, name="biopsy", **UM)
    dock = ExportWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Export and import nuclei")
    desk = Desk(viewer, dock, qtbot)
    yield desk
    desk.session.close()


def test_without_labels_the_dock_says_what_to_do_first(desk):
    assert "No project is open" in desk.dock.out.what.text()
    assert not desk.dock.out.export.isEnabled()
    desk.viewer.layers.clear()
    desk.settle()
    assert "Open an image" in desk.dock.out.what.text()


def test_a_file_holds_what_the_dock_said(desk, tmp_path):
    image = desk.label()
    out = desk.dock.out
    assert out.what.text() == "4 nuclei. All is kept."
    assert out.path.text().endswith("biopsy.nuclei.csv")
    out.which.setCurrentText("Set or accepted by people")
    assert out.what.text().startswith("3 nuclei.")
    desk.export(tmp_path / "biopsy.nuclei.geojson", "geojson")
    assert "3 nuclei written" in out.status.text()
    (back,) = read_points(tmp_path / "biopsy.nuclei.geojson")
    sent = desk.store.nuclei(image, which="human")
    np.testing.assert_array_equal(np.sort(back.nuclei.id), np.sort(sent.id))
    assert back.fields == (FIELD,)
    desk.export(tmp_path / "biopsy.nuclei.geojson", "geojson")
    assert "exists already" in desk.dock.error.text()
    desk.click(out.replace)
    desk.export(tmp_path / "biopsy.nuclei.geojson", "geojson")
    assert not desk.dock.error.isVisible()


def test_training_data_leave_proposals_behind_and_carry_their_licence(desk, tmp_path):
    desk.label()
    out = desk.dock.out
    out.format.setCurrentIndex(out.format.findData("label-set"))
    assert "Open proposals stay out: 1." in out.what.text()
    assert "scores" in out.what.text()
    assert not out.which.isEnabled()
    desk.qtbot.keyClicks(out.licence, "CC0")
    desk.export(tmp_path / "labels", "label-set")
    labels = read_label_set(tmp_path / "labels")
    assert labels.nuclei_count == 3
    assert labels.provenance[0].licence == "CC0"
    assert labels.images[0].fields == (FIELD,)


def test_what_was_selected_can_be_exported_alone(desk, tmp_path):
    image = desk.label()
    out = desk.dock.out
    out.scope.setCurrentText("Selected nuclei")
    assert "No nucleus is selected" in out.what.text()
    desk.session.views.of().select(desk.store.nuclei(image).id[:1])
    desk.settle()
    assert out.what.text().startswith("1 nucleus.")
    assert "1 of 1 fields" in out.what.text()
    desk.export(tmp_path / "one.nuclei.csv", "csv")
    (back,) = read_points(tmp_path / "one.nuclei.csv")
    assert len(back.nuclei) == 1


def test_a_place_that_cannot_be_written_is_said_in_the_dock(desk, tmp_path):
    desk.label()
    (tmp_path / "file").write_text("")
    desk.export(tmp_path / "file" / "a.nuclei.csv", "csv")
    assert "cannot be made" in desk.dock.error.text()
    assert desk.dock.error.isVisible()


def test_an_import_asks_for_new_classes_and_is_taken_back_in_one_step(desk, tmp_path):
    classes = ClassScheme((NucleusClass("tumour, high", "#ff0000"), NucleusClass("stroma", "#0f0")))
    nuclei = Nuclei.from_points([(10, 10), (40, 40), (60, 60)], label=[0, 0, 1], classes=classes)
    path = write_points(tmp_path / "b.nuclei.csv", PointsFile(nuclei, 0.5, "biopsy.tif"))
    desk.read(path)
    panel = desk.dock.in_
    assert "3 nuclei" in panel.content.text()
    assert set(panel.answers) == {"tumour, high", "stroma"}
    panel.answers["stroma"].setCurrentText("are miscellaneous")
    desk.click(panel.take)
    assert panel.status.text() == "From b.nuclei.csv: 3 dots."
    counts = desk.store.nuclei(desk.session.image).counts()
    assert (counts["tumour, high"], counts["miscellaneous"]) == (2, 1)
    assert not panel.found.isVisible()
    desk.session.undo()
    assert len(desk.store.nuclei(desk.session.image)) == 0
    assert "tumour, high" not in desk.store.classes.names


def test_a_file_that_does_not_fit_is_said_and_changes_nothing(desk, tmp_path):
    (tmp_path / "wrong.nuclei.csv").write_text("a,b\n1,2\n")
    desk.read(tmp_path / "wrong.nuclei.csv")
    assert "has no column" in desk.dock.error.text()
    far = PointsFile(Nuclei.from_points([(10, 10), (10, 9000)]), 0.25, "biopsy")
    desk.read(write_points(tmp_path / "far.nuclei.csv", far))
    panel = desk.dock.in_
    assert "0.25 µm/px, the project 0.5" in panel.warning.text()
    assert "Nuclei outside the image: 1." in panel.warning.text()
    desk.click(panel.take)
    assert "outside" in desk.dock.error.text()
    assert len(desk.store.nuclei(desk.session.image)) == 0
    desk.click(panel.skip)
    desk.click(panel.take)
    assert len(desk.store.nuclei(desk.session.image)) == 1


def test_the_counts_follow_the_project_and_can_be_pasted_into_a_spreadsheet(desk):
    image = desk.label()
    counts = desk.dock.counts
    desk.dock.tabs.setCurrentWidget(counts)
    rows = [line.split("\t") for line in counts.text().splitlines()]
    area = 240 * 320 * 0.25
    density = [f"{2e6 / area:.0f}", f"{2 / area:.2e}", f"{area:.0f}"]
    assert rows[1][1:] == ["all", "epithelial", "2", "2", *density]
    desk.session.edit(lambda store: store.add(image, (50, 50), "epithelial"))
    desk.qtbot.waitUntil(lambda: counts.text().splitlines()[1].split("\t")[3] == "3")
    desk.click(counts.copy)
    assert QApplication.clipboard().text() == counts.text()


def test_answers_stay_when_another_layer_is_chosen_and_a_named_image_is_not_guessed(
    desk, drawn, tmp_path
):
    first = desk.session.ensure()
    other = desk.viewer.add_image(drawn.rgb[::-1], name="other", **UM)
    second = desk.session.ensure(other)
    tumour = ClassScheme((NucleusClass("tumour", "#ff0000", "Q"),))
    nuclei = Nuclei.from_points([(5, 5)], label=0, classes=tumour)
    path = write_points(tmp_path / "a.nuclei.csv", PointsFile(nuclei, 0.5, ""), format="csv")
    desk.read(path)
    panel = desk.dock.in_
    assert panel.targets[0].currentData() == second
    panel.answers["tumour"].setCurrentText("are epithelial")
    desk.viewer.layers.selection.active = desk.session.layer_of(first)
    assert desk.session.image == first
    assert panel.targets[0].currentData() == second
    assert panel.answers["tumour"].currentData() == "epithelial"

    named = write_points(tmp_path / "b.nuclei.csv", PointsFile(nuclei, 0.5, "c.png"), format="csv")
    desk.read(named)
    assert panel.targets[0].currentData() is None
    panel.targets[0].setCurrentIndex(1)
    assert "lie on 'c.png'" in panel.warning.text()


def test_what_is_ticked_for_training_data_stays_ticked(desk):
    image = desk.label()
    out = desk.dock.out
    out.format.setCurrentIndex(out.format.findData("label-set"))
    desk.click(out.crops)
    desk.session.views.of().select(desk.store.nuclei(image).id[:1])
    desk.settle()
    desk.dock.tabs.setCurrentWidget(desk.dock.counts)
    desk.dock.tabs.setCurrentWidget(out)
    assert out.crops.isChecked()
    assert out.request().crops


def test_a_typed_name_gets_the_suffix_of_another_format(desk, tmp_path):
    desk.label()
    out = desk.dock.out
    desk.export(tmp_path / "mine.csv", "csv")
    out.format.setCurrentIndex(out.format.findData("geojson"))
    assert out.path.text() == str(tmp_path / "mine.geojson")
    desk.click(out.export)
    desk.settle()
    (back,) = read_points(tmp_path / "mine.geojson")
    assert len(back.nuclei) == 4


def test_what_an_import_asks_follows_the_classes_of_the_project(desk, tmp_path):
    desk.label()
    new = ClassScheme((NucleusClass("mitosis", "#ff9100", "G"), NucleusClass("stroma", "#0f0")))
    nuclei = Nuclei.from_points([(50, 60), (70, 80)], label=[0, 1], classes=new)
    path = write_points(tmp_path / "a.nuclei.csv", PointsFile(nuclei, 0.5, ""), format="csv")
    desk.read(path)
    panel, session = desk.dock.in_, desk.session
    panel.answers["stroma"].setCurrentText("are epithelial")
    session.edit(lambda store: store.add_class(NucleusClass("mitosis", "#ff9100", "G")))
    assert set(panel.answers) == {"stroma"}
    assert panel.answers["stroma"].currentData() == "epithelial"
    session.edit(lambda store: store.edit_class("epithelial", new_name="tumour"))
    offered = [
        panel.answers["stroma"].itemText(at) for at in range(panel.answers["stroma"].count())
    ]
    assert "are tumour" in offered
    assert "are epithelial" not in offered
    session.undo()
    session.undo()
    assert set(panel.answers) == {"mitosis", "stroma"}
    desk.click(panel.take)
    assert panel.status.text() == "From a.nuclei.csv: 2 dots."
    assert "mitosis" in desk.store.classes.names
