"""The session of a viewer: its project, and which image of it a layer shows."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

from napari_nucbudget.errors import ProjectError
from napari_nucbudget.project import open_project
from napari_nucbudget.ui.session import Session

UM = {"scale": (0.5, 0.5), "units": ("um", "um")}


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def session(viewer):
    session = Session.of(viewer)
    yield session
    session.close()


@pytest.fixture
def told(session):
    """Sentences and errors, as a dock would show them."""
    seen = []
    session.told.connect(seen.append)
    session.failed.connect(lambda error: seen.append(str(error)))
    return seen


@pytest.fixture
def slide(tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    path = folder / "slide.tif"
    tifffile.imwrite(path, pixels, photometric="rgb")
    return path


def open_slide(viewer, path):
    from napari.layers._source import layer_source

    with layer_source(path=str(path)):
        return viewer.add_image(tifffile.imread(path), name=path.stem, **UM)


def test_every_viewer_has_a_session_of_its_own_whichever_proxy_asks(session, viewer):
    assert Session.of(PublicOnlyProxy(viewer)) is session
    assert Session.of(ViewerModel()) is not session


def test_the_first_label_starts_a_project_beside_the_image(session, viewer, slide):
    layer = open_slide(viewer, slide)
    assert not list(slide.parent.glob("*.nucbudget"))
    image = session.ensure()
    assert session.store.path == slide.with_suffix(".nucbudget")
    assert session.store.image(image).mpp == 0.5
    assert (session.current, session.image, session.layer_of(image)) == (layer, image, layer)


def test_an_array_finds_its_nuclei_again_and_another_of_the_same_name_does_not(
    session, viewer, drawn
):
    viewer.add_image(drawn.rgb, name="image", **UM)
    image = session.ensure()
    session.edit(lambda store: store.add(image, (5, 5)))
    project = session.store.path
    viewer.layers.clear()
    viewer.add_image(drawn.rgb[::-1], name="image", **UM)
    assert session.image is None
    viewer.layers.clear()
    viewer.add_image(drawn.rgb, name="renamed", **UM)
    assert session.image == image
    session.close_project()
    viewer.layers[0].name = "image"
    assert session.suggested() == project


def test_a_moved_image_is_found_by_its_bytes_and_linked_anew(session, viewer, slide, tmp_path):
    open_slide(viewer, slide)
    image = session.ensure()
    project = session.store.path
    session.close_project()
    viewer.layers.clear()
    moved = slide.rename(tmp_path / "elsewhere.tif")
    session.open(project)
    open_slide(viewer, moved)
    assert session.image == image
    assert session.store.image_file(image) == ("found", moved)


def test_a_changed_image_does_not_get_the_nuclei_until_a_person_says_so(
    session, viewer, slide, told
):
    open_slide(viewer, slide)
    image = session.ensure()
    session.edit(lambda store: store.add(image, (5, 5)))
    viewer.layers.clear()
    tifffile.imwrite(slide, np.zeros((90, 120, 3), np.uint8), photometric="rgb")
    layer = open_slide(viewer, slide)
    assert session.image is None
    assert "Its nuclei (1) are kept" in told[-1]
    assert session.relink(layer, session.changed_image, accept_changed=True)
    assert session.image == image


def test_a_project_in_use_elsewhere_opens_to_read_only_and_says_so(session, viewer, slide, told):
    open_slide(viewer, slide)
    with open_project(slide.with_suffix(".nucbudget")):
        assert session.open(slide.with_suffix(".nucbudget"))
        assert session.read_only
        assert "is open elsewhere" in told[0]
        assert session.edit(lambda store: store.undo()) is None
        assert session.ensure() is None
        assert "open to read only" in told[-1]


def test_what_cannot_be_opened_is_said_and_the_open_project_stays(session, viewer, slide, told):
    open_slide(viewer, slide)
    session.ensure()
    store = session.store
    broken = slide.with_name("broken.nucbudget")
    broken.write_bytes(b"no database" * 100)
    assert not session.open(broken)
    assert "is damaged or not a nucbudget project" in told[-1]
    assert session.store is store


def test_edits_are_told_once_with_the_nuclei_that_they_touched(session, viewer, drawn):
    viewer.add_image(drawn.rgb, name="image", **UM)
    image = session.ensure()
    seen = []
    session.nuclei_changed.connect(seen.append)
    ids = session.edit(lambda store: store.add(image, [(5, 5), (9, 9)], "epithelial"))
    assert session.undo() == "add 2 nuclei"
    session.sync()
    assert [note.label for notes in seen for note in notes] == ["add 2 nuclei"] * 2
    np.testing.assert_array_equal(seen[0][0].nuclei[image], ids)


def test_an_edit_that_fails_reaches_the_docks_in_words(session, viewer, drawn, told):
    viewer.add_image(drawn.rgb, name="image", **UM)
    image = session.ensure()
    assert session.edit(lambda store: store.add(image, (-50, 5))) is None
    assert "outside the image" in told[-1]


def test_without_an_image_there_is_nothing_to_ensure(session, told):
    assert session.ensure() is None
    assert "No image is open" in told[-1]


def test_pixels_of_an_image_come_from_its_layer_else_from_its_file(session, viewer, slide):
    open_slide(viewer, slide)
    image = session.store.image(session.ensure()) if session.ensure() else None
    assert session.open_source(image).shape == (90, 120)
    viewer.layers.clear()
    assert session.open_source(image).shape == (90, 120)
    slide.unlink()
    with pytest.raises(ProjectError, match="is missing"):
        session.open_source(image)


def test_the_pauses_between_edits_count_as_work_and_breaks_do_not(tmp_path):
    from napari_nucbudget.project import Records
    from napari_nucbudget.ui.work_clock import WorkClock

    now = iter([0.0, 10.0, 15.0, 500.0, 507.0])
    clock = WorkClock(lambda: next(now))
    for _ in range(5):
        clock.touch()
    with open_project(tmp_path / "p.nucbudget", annotator="Ann") as store:
        clock.flush(store)
        clock.flush(store)
        (spent,) = Records(store).spent()
    assert spent.seconds == 22.0
