"""A second reading: blind to the first, which it leaves as it is, and over with its project."""

from __future__ import annotations

from qtpy.QtCore import Qt


def begin(desk):
    """Ann has annotated; Bob begins to read."""
    desk.session.set_annotator("Ann")
    fields = desk.dock.fields
    desk.dock.tabs.setCurrentWidget(fields)
    fields.who.setText("Bob")
    desk.click(fields.second)
    assert (desk.session.annotator, desk.session.reading) == ("Bob", 1)
    desk.dock.tabs.setCurrentIndex(0)


def test_who_annotated_first_does_so_again_after_a_second_reading_was_closed(desk, tmp_path):
    session, dock = desk.session, desk.dock
    session.ensure()
    path = session.store.path
    begin(desk)
    desk.click(dock.project.close_)
    assert session.open(path)
    assert (session.annotator, session.reading) == ("Ann", 0)
    assert dock.project.annotator.text() == "Ann"
    (dot,) = session.edit(lambda store: store.add(1, (80.0, 80.0)))
    assert session.store.facts(int(dot)).annotator == "Ann"

    begin(desk)  # and where another project is opened in its place
    assert session.open(tmp_path / "other.nucbudget")
    assert session.annotator == session.store.annotator == "Ann"
    assert not dock.fields.second.isChecked()


def test_no_proposal_of_the_first_reading_is_answered_in_the_second(desk):
    desk.propose()
    desk.session.views.of().select(desk.session.store.nuclei(1).id[:1])
    before = desk.counts()
    begin(desk)
    error = desk.dock.project.error
    for key, modifier in (
        (Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier),
        (Qt.Key.Key_N, Qt.KeyboardModifier.NoModifier),
    ):
        desk.dock.project.show_error(None)
        desk.press(key, modifier)
        assert error.text() == "Proposals are hidden in a second reading: end it to answer them."
        assert len(desk.session.views.of().selected) == 0
    desk.press(Qt.Key.Key_J)
    desk.dock.project.show_error(None)
    desk.click(desk.dock.proposals.above)
    assert error.text().startswith("Proposals are hidden")
    assert "Every proposal" not in desk.dock.proposals.left.text()
    assert desk.counts() == before


def test_the_gallery_of_a_second_reading_shows_its_own_dots(desk):
    ids = desk.propose()
    session, gallery = desk.session, desk.dock.gallery
    begin(desk)
    (own,) = session.edit(lambda store: store.add(1, (50.0, 50.0), "epithelial", reading=1))
    desk.dock.tabs.setCurrentWidget(gallery)
    gallery.class_name.setCurrentText("epithelial")
    gallery.which.setCurrentText("all")

    def shown():
        desk.click(gallery.fill)
        desk.qtbot.waitUntil(lambda: not gallery.job.running, timeout=5000)
        items = [gallery.list.item(row) for row in range(gallery.list.count())]
        return {item.data(256) for item in items if not item.isHidden()}

    assert shown() == {own}
    session.edit(lambda store: store.move([own], [(52.0, 52.0)]))
    assert not gallery.list.item(0).isHidden()
    session.set_annotator("Ann")
    assert gallery.list.item(0).isHidden()
    assert shown() == set(ids[:2].tolist())
