"""Nuclei without a class: where they come from, and what must not come in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_nucbudget.errors import ImageError, PixelSizeError, TrainingError
from napari_nucbudget.io.label_sets import read_label_set, write_label_set
from napari_nucbudget.learn import unlabelled
from napari_nucbudget.learn.unlabelled import read_unlabelled, with_detected, with_unlabelled
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of
from tests.learn.conftest import drawn_image


def classed(labels: LabelSet) -> LabelSet:
    """The same with the classes 0, 1, 2, 0, ... given to the first six dots of each image."""

    def some(image: AnnotatedImage) -> AnnotatedImage:
        label = np.where(np.arange(9) < 6, np.arange(9) % 3, -1).astype(np.int16)
        return replace(image, nuclei=replace(image.nuclei, label=label))

    return replace(labels, images=tuple(some(i) for i in labels))


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch, tiny_detector: Detector) -> Detector:
    """A detector that finds the four places below in every image."""

    def found(source: object, detector: object, *, mpp: float) -> Nuclei:
        yx = [[5.0, 5.0], [5.0, 65.0], [65.0, 5.0], [36.0, 36.0]]
        return Nuclei.from_points(yx, score=0.5, origin="finder")

    monkeypatch.setattr(unlabelled, "detect", found)
    return tiny_detector


@pytest.fixture
def other_set(tmp_path: Path) -> Path:
    """A label set folder with a training image and one of every held-out split."""
    images = tuple(
        drawn_image(name, split, seed)
        for name, split, seed in (("a", "train", 20), ("b", "validation", 21), ("c", "test", 22))
    )
    labels = classed(LabelSet(images, images[0].nuclei.classes))
    return write_label_set(labels, tmp_path / "others")


def picture(path: Path, image: AnnotatedImage) -> Path:
    Image.fromarray(image.source.read(Region.whole(image.source.shape))).save(path)
    return path


def test_a_label_set_gives_the_dots_of_its_training_images_without_classes(
    train_set: LabelSet, other_set: Path
) -> None:
    more = read_unlabelled([other_set])
    assert [i.name for i in more.held] == ["b", "c"]
    grown = result_of(with_unlabelled(classed(train_set), more, None))
    assert [i.name for i in grown] == ["t0", "t1", "a"]
    assert grown.images[2].nuclei.label.tolist() == [-1] * 9
    assert (grown.images[0].nuclei.label >= 0).sum() == 6


def test_a_training_image_does_not_come_in_twice(train_set: LabelSet, tmp_path: Path) -> None:
    folder = write_label_set(train_set, tmp_path / "drawn")
    train = read_label_set(folder)
    grown = result_of(with_unlabelled(train, read_unlabelled([folder]), None))
    assert len(grown) == len(train)


def test_images_of_another_folder_of_the_same_name_do_come_in(
    train_set: LabelSet, tmp_path: Path
) -> None:
    folders = [tmp_path / run / "labels" for run in ("one", "two")]
    renamed = [drawn_image(image.name, "train", 9 + n) for n, image in enumerate(train_set)]
    for folder, images in zip(folders, (train_set.images, tuple(renamed)), strict=True):
        folder.parent.mkdir()
        write_label_set(replace(train_set, images=images), folder)
    train = read_label_set(folders[0])
    grown = result_of(with_unlabelled(train, read_unlabelled([folders[1]]), None))
    assert len(grown) == len(train) + len(renamed)


def test_images_of_a_plain_folder_are_detected_in(
    train_set: LabelSet, finder: Detector, tmp_path: Path
) -> None:
    for number in range(2):
        picture(tmp_path / f"p{number}.png", drawn_image("p", "train", 30 + number))
    (tmp_path / "notes.txt").write_text("no image")
    more = read_unlabelled([tmp_path], mpp=0.55)
    grown = result_of(with_unlabelled(train_set, more, finder))
    assert [i.name for i in grown] == ["t0", "t1", "p0.png", "p1.png"]
    assert [len(i.nuclei) for i in grown] == [9, 9, 4, 4]
    assert set(grown.images[3].nuclei.label) == {-1}


def test_dots_of_a_label_set_are_left_aside_where_detection_is_asked_for(
    train_set: LabelSet, finder: Detector, other_set: Path
) -> None:
    more = read_unlabelled([other_set])
    grown = result_of(with_unlabelled(train_set, more, finder, dots=False))
    assert len(grown.images[2].nuclei) == 4


def test_detected_nuclei_take_the_place_of_dots_without_a_class(
    train_set: LabelSet, finder: Detector
) -> None:
    """The detected one in the middle is the labelled one, 3.3 µm or less away."""
    labels = classed(train_set)
    image = labels.images[0]
    yx = image.nuclei.yx.copy()
    yx[4] = [36.0, 41.5]  # 3.0 µm from the one detected at 36, 36
    labels = replace(labels, images=(replace(image, nuclei=replace(image.nuclei, yx=yx)),))
    (changed,) = result_of(with_detected(labels, finder))
    assert (changed.nuclei.label >= 0).sum() == 6
    np.testing.assert_array_equal(changed.nuclei.yx[:6], yx[:6])
    assert changed.nuclei.yx[6:].tolist() == [[5, 5], [5, 65], [65, 5]]


def test_a_held_out_image_is_refused_under_whatever_name(
    train_set: LabelSet, finder: Detector, tmp_path: Path
) -> None:
    held = drawn_image("v0", "validation", 9)
    file = picture(tmp_path / "mine.png", held)
    more = read_unlabelled([file], mpp=0.55)
    with pytest.raises(
        TrainingError,
        match=r"^1 images are in the unlabelled images and in validation or test under two names, "
        r"with the same pixels: mine\.png = v0\.",
    ):
        result_of(with_unlabelled(train_set, more, finder, held=[held]))


def test_a_test_image_beside_its_own_label_set_is_refused(
    train_set: LabelSet, finder: Detector, other_set: Path
) -> None:
    more = read_unlabelled([other_set, other_set / "images" / "c.png"], mpp=0.55)
    with pytest.raises(TrainingError, match=r"same pixels: c\.png = c\."):
        result_of(with_unlabelled(train_set, more, finder))


def test_an_image_without_pixel_size_is_refused_with_advice(tmp_path: Path) -> None:
    file = picture(tmp_path / "p.png", drawn_image("p", "train", 1))
    with pytest.raises(
        PixelSizeError,
        match=r"p\.png does not say how large its pixels are, so that no nucleus can be detected "
        r"in it\. Give the pixel size in µm \(--unlabelled-mpp 0\.5\); it is never guessed\.$",
    ):
        read_unlabelled([file])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"holds neither a label set .* nor an image"):
        read_unlabelled([tmp_path])


def test_an_image_too_large_to_be_read_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlabelled, "MOST_PIXELS", 5_000)
    file = picture(tmp_path / "p.png", drawn_image("p", "train", 1))
    with pytest.raises(ImageError, match=r"are read whole, up to 0 million\. Save regions"):
        read_unlabelled([file], mpp=0.5)


def test_a_crowded_image_gives_a_seeded_draw(
    train_set: LabelSet, other_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlabelled, "MOST_NUCLEI", 5)
    more = read_unlabelled([other_set])
    draws = [
        result_of(with_unlabelled(train_set, more, None, seed=seed)).images[2].nuclei.yx
        for seed in (0, 0, 1)
    ]
    assert len(draws[0]) == 5
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_images_in_which_nothing_is_found_are_refused(
    train_set: LabelSet,
    tiny_detector: Detector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unlabelled, "detect", lambda *_, **__: Nuclei.empty())
    more = read_unlabelled([picture(tmp_path / "p.png", drawn_image("p", "train", 1))], mpp=0.5)
    with pytest.raises(TrainingError, match="No nucleus was found in the 1 unlabelled images"):
        result_of(with_unlabelled(train_set, more, tiny_detector))
