"""The session of a viewer: its project, and which image of it a layer shows."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

from napari_nucbudget.errors import ProjectError
from napari_nucbudget.project import open_project
from napari_nucbudget.types.classes import NucleusClass
from napari_nucbudget.ui import actions
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


def test_arrays_that_differ_anywhere_are_different_images(session, viewer):
    rng = np.random.default_rng(0)
    tissue = rng.integers(0, 255, (150, 150, 3), np.uint8)
    cores = []
    for corner in ((0, 450), (450, 0)):  # off the diagonal, as in an array of tissue cores
        pixels = np.full((600, 600, 3), 255, np.uint8)
        pixels[corner[0] : corner[0] + 150, corner[1] : corner[1] + 150] = tissue
        cores.append(viewer.add_image(pixels, name="core", **UM))
    grey = [viewer.add_image(rng.random((90, 120)), name="grey", **UM) for _ in range(2)]
    stacks = [
        viewer.add_image(
            rng.integers(0, 255, (3, 90, 120, 3), np.uint8),
            rgb=True,
            name="stack",
            scale=(1, 0.5, 0.5),
            units=("um",) * 3,
        )
        for _ in range(2)
    ]
    layers = [*cores, *grey, *stacks]
    assert len({session.ensure(layer) for layer in layers}) == len(layers)
    assert len({str(session.suggested(layer)) for layer in layers}) == len(layers)
    again = viewer.add_image(cores[0].data.copy(), name="core", **UM)
    assert session.ensure(again) == session.image_of(cores[0])


def test_a_large_array_is_told_apart_by_squares_all_over_it(session, viewer):
    one = np.zeros((3000, 3000, 3), np.uint8)
    other = one.copy()
    other[2990:, 2990:] = 7
    a, b = (viewer.add_image(pixels, name="large", **UM) for pixels in (one, other))
    assert session.ensure(a) != session.ensure(b)


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.bool_])
def test_an_image_of_any_kind_has_a_project(session, viewer, told, kind):
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(kind)
    layer = viewer.add_image(pixels, rgb=True, name="odd", **UM)
    assert session.suggested(layer) is not None
    assert session.ensure(layer) is not None
    assert told == []


@pytest.mark.parametrize("again", range(8))
def test_all_layers_of_two_images_can_be_taken_out_at_once(session, viewer, qtbot, again):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        layer = viewer.add_image(rng.integers(0, 255, (90, 120, 3), np.uint8), name=name, **UM)
        image = session.ensure(layer)
        session.edit(lambda store, image=image: store.add(image, [[5, 5]], "epithelial"))
    assert len(viewer.layers) == 4
    viewer.layers.select_all()
    viewer.layers.remove_selected()  # in the order of a set, which is another each time
    qtbot.waitUntil(lambda: len(viewer.layers) == 0)
    assert session.links == ()


def test_the_points_of_an_image_go_with_it(session, viewer, qtbot):
    layer = viewer.add_image(np.zeros((90, 120, 3), np.uint8), name="a", **UM)
    image = session.ensure(layer)
    session.edit(lambda store: store.add(image, [[5, 5]], "epithelial"))
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: len(viewer.layers) == 0)


def test_a_pixel_size_that_makes_no_sense_is_as_none(session, viewer):
    viewer.add_image(np.zeros((90, 120, 3), np.uint8), scale=(0.5, 1), units=("um", "um"))
    assert session.mpp_of() is None
    session.set_mpp(session.current, 0.5)
    assert session.mpp_of() == 0.5


def test_a_pixel_size_typed_later_takes_the_place_of_a_wrong_one(session, viewer, told):
    layer = viewer.add_image(np.zeros((60, 80, 3), np.uint8), name="plain")
    session.set_mpp(layer, 0.25)
    image = session.ensure()
    assert session.store.image(image).mpp == 0.25
    session.set_mpp(layer, 0.25001)  # the same, rounded
    assert told == []
    session.set_mpp(layer, 0.55)
    assert session.store.image(image).mpp == session.mpp_of(layer) == 0.55
    assert "0.55 µm/px from now on; it had 0.25" in told[-1]


def test_who_holds_a_project_is_said_together_with_all_else(session, viewer, slide, told):
    layer = open_slide(viewer, slide)
    with open_project(slide.with_suffix(".nucbudget"), annotator="Ann"):
        session.open(slide.with_suffix(".nucbudget"))
        assert layer is session.current
        assert len(told) == 1
        assert "process" in told[0]


def test_a_class_that_another_project_lacks_is_not_active_there(session, viewer, tmp_path, told):
    viewer.add_image(np.zeros((90, 120, 3), np.uint8), name="plain", **UM)
    assert session.open(tmp_path / "a.nucbudget")
    session.edit(lambda store: store.add_class(NucleusClass("mitosis", "#ff9100", "G")))
    session.set_active_class("mitosis")
    assert session.open(tmp_path / "b.nucbudget")
    assert session.active_class == ""
    assert actions.add(session, session.ensure(), np.array([[50.0, 50.0]])) is not None
    session.set_active_class("epithelial")
    assert session.open(tmp_path / "a.nucbudget")
    assert session.active_class == "epithelial"
