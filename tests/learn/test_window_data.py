"""Windows in training: the pixels that numpy cuts, and the nuclei where their pixels are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.core.stain import HE_MATRIX, to_optical_density, to_rgb
from napari_nucbudget.learn.window_data import EDGE, INSIDE, WINDOW, WindowData
from napari_nucbudget.learn.window_examples import WindowExamples, hills
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.training import TrainConfig

CPU = torch.device("cpu")
SHAPES = {"a": (300, 340), "b": (90, 120)}  # the second is smaller than a window


def image(name, dataset="d", count=60, known=1.0):
    rng = np.random.default_rng(len(name) + ord(name[0]))
    height, width = SHAPES[name]
    rgb = rng.integers(20, 256, (height, width, 3)).astype(np.uint8)
    yx = np.column_stack([rng.integers(height, size=count), rng.integers(width, size=count)])
    label = np.where(rng.random(count) < known, np.arange(count) % 3, -1)
    return AnnotatedImage(
        ArraySource(rgb, mpp=0.55, name=name),
        Nuclei.from_points(
            np.unique(yx, axis=0)[:count], label=label[: len(np.unique(yx, axis=0))]
        ),
        (Region(0, 0, height, width),),
        dataset=dataset,
    )


def data(*images, **settings):
    chosen = {"stain_jitter": 0.0, "brightness_jitter": 0.0, **settings}
    return WindowData(LabelSet(images, DEFAULT_CLASSES), mpp=0.55, stain=None, **chosen)


def cut(source, corner, turned):
    """What numpy makes of it: padded, cut, exchanged, mirrored."""
    reach = 3 * WINDOW
    pixels = source.read(Region.whole(source.shape))
    wide = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    y, x = corner + reach
    found = wide[y : y + WINDOW, x : x + WINDOW]
    found = found.transpose(1, 0, 2) if turned[0] else found
    found = found[::-1] if turned[1] else found
    return found[:, ::-1] if turned[2] else found


@pytest.mark.parametrize("anywhere", [False, True])
def test_windows_are_those_that_numpy_cuts(anywhere):
    images = [image("a"), image("b")]
    made = data(*images)
    batch = made.draw(np.random.default_rng(0), 40, anywhere=anywhere)
    assert {tuple(t) for t in batch.turned.tolist()} == set(np.ndindex(2, 2, 2))
    found = made.pixels(batch, CPU).numpy()
    for number, (index, corner, turned) in enumerate(
        zip(batch.image, batch.corner, batch.turned, strict=True)
    ):
        expected = cut(images[index].source, corner, turned)
        np.testing.assert_allclose(found[number], expected, atol=2e-3)


def test_a_nucleus_lies_where_its_pixel_is():
    images = [image("a"), image("b")]
    made = data(*images)
    batch = made.draw(np.random.default_rng(1), 24)
    pixels = np.round(made.pixels(batch, CPU).numpy()).astype(int)
    every = np.concatenate([i.nuclei.yx for i in images]).astype(int)
    assert len(batch.row) > 100
    for window, (y, x), row, label in zip(
        batch.window, batch.yx.astype(int), batch.row, batch.label, strict=True
    ):
        assert min(y, x) >= EDGE
        assert max(y, x) <= WINDOW - 1 - EDGE
        source = images[batch.image[window]].source
        there = every[row]
        np.testing.assert_array_equal(pixels[window, y, x], source.read(Region(*there, 1, 1))[0, 0])
        assert label == made.label[row]


def test_a_window_shows_the_nucleus_that_it_was_drawn_for_and_all_others_in_it():
    made = data(image("a"))
    batch = made.draw_around(np.arange(5), np.random.default_rng(2), 5)
    assert 0 in batch.row[batch.window == 0]
    every = made._every
    for number, corner in enumerate(batch.corner):
        at = every - corner
        inside = ((at >= EDGE) & (at <= WINDOW - 1 - EDGE)).all(axis=1)
        assert set(batch.row[batch.window == number]) == set(np.flatnonzero(inside))
    assert INSIDE > EDGE


def test_stain_and_exposure_are_those_of_jitter():
    made = data(image("a"), stain_jitter=0.3, brightness_jitter=0.1)
    batch = made.draw(np.random.default_rng(3), 6)
    plain = replace(
        batch,
        scale=np.ones_like(batch.scale),
        shift=np.zeros_like(batch.shift),
        exposure=np.ones_like(batch.exposure),
    )
    rgb, found = made.pixels(plain, CPU).numpy(), made.pixels(batch, CPU).numpy()
    assert np.ptp(batch.scale) > 0.2
    assert np.abs(batch.scale - 1).max() <= 0.3
    assert np.abs(batch.shift).max() <= 0.3 / 4
    assert np.abs(batch.exposure - 1).max() <= 0.1
    for number in range(6):
        scale = np.append(batch.scale[number], 1)
        shift = np.append(batch.shift[number], 0)
        stains = to_optical_density(rgb[number]) @ np.linalg.inv(HE_MATRIX)
        mixed = (stains * scale + shift).astype(np.float32) @ HE_MATRIX
        expected = np.clip(to_rgb(mixed) * batch.exposure[number], 0, 255)
        np.testing.assert_allclose(found[number], expected, atol=0.05)


def test_only_nuclei_with_a_class_are_drawn_for_and_sets_equally_often_if_asked():
    few, many = image("b", "few", count=6), image("a", "many", known=0.5)
    for balance, low, high in ((True, 0.45, 0.55), (False, 0.05, 0.25)):
        made = data(few, many, balance=balance)
        assert (made.label[made.known] >= 0).all()
        assert (made.label < 0).any()
        drawn = made.draw(np.random.default_rng(4), 2_000)
        assert low < (drawn.image == 0).mean() < high


def test_hills_are_one_at_the_nearest_nucleus():
    made = data(image("a"))
    batch = made.draw(np.random.default_rng(5), 3)
    found = hills(batch, 3, CPU).numpy()
    assert found.shape == (3, WINDOW // 4, WINDOW // 4)
    grid = np.arange(WINDOW // 4) * 4 + 1.5
    for number in range(3):
        yx = batch.yx[batch.window == number]
        far = ((grid[:, None, None, None] - yx[:, 0]) ** 2).reshape(len(grid), 1, -1)
        far = far + ((grid[:, None] - yx[:, 1]) ** 2)[None]
        np.testing.assert_allclose(found[number], np.exp(-far.min(2) / 18), atol=1e-5)


def test_a_window_without_a_nucleus_has_no_hill():
    made = data(image("a"))
    batch = made.draw(np.random.default_rng(6), 2)
    keep = batch.window == 1
    none = replace(
        batch, window=batch.window[keep], yx=batch.yx[keep], label=batch.label[keep],
        row=batch.row[keep],
    )  # fmt: skip
    found = hills(none, 2, CPU)
    assert not found[0].any()
    assert found[1].max() > 0.5


def test_features_of_every_labelled_nucleus_are_found():
    labels = LabelSet((image("a", known=0.4), image("b")), DEFAULT_CLASSES)
    config = TrainConfig(method="supervised", batch_size=40, stain_jitter=0.0)
    examples = WindowExamples(labels, config, None)

    class Place:
        """A network whose features are the nuclei's places, turned back by nobody."""

        def packed(self, x):
            return x

        def features(self, packed, size, window, yx):
            rgb = packed.permute(0, 2, 3, 1)
            assert rgb.shape[1:3] == size
            return rgb[window, yx[:, 0].long(), yx[:, 1].long()]

    found = examples.features(
        Place(), CPU, lambda x: x.permute(0, 3, 1, 2), np.random.default_rng(0)
    )
    assert len(found) == len(examples.label)
    nuclei = [(i, i.nuclei.select(i.nuclei.label >= 0)) for i in labels]
    expected = np.concatenate(
        [i.source.read(Region.whole(i.source.shape))[tuple(n.yx.astype(int).T)] for i, n in nuclei]
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)
