from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.learn.data import DetectionImage, Sampler, detection_images
from napari_nucbudget.types.image import Region

WHOLE = Region(0, 0, 60, 60)


def an_image(side=60, fields=(WHOLE,)):
    rgb = np.arange(side * side * 3, dtype=np.uint32).reshape(side, side, 3) % 251
    inside = np.zeros((side, side), bool)
    for field in fields:
        inside[field.slices] = True
    target = np.linspace(0, 1, side * side, dtype=np.float32).reshape(side, side)
    return DetectionImage(rgb.astype(np.uint8), target, inside, fields)


def test_a_crop_is_a_window_of_its_image():
    image = an_image()
    rgb, target, known = Sampler([image], 32).draw(np.random.default_rng(3))
    assert rgb.shape == (32, 32, 3)
    assert known.all()
    y, x = np.argwhere(image.target == target[0, 0])[0]
    np.testing.assert_array_equal(rgb, image.rgb[y : y + 32, x : x + 32])


def test_a_field_smaller_than_the_crop_lies_inside_it():
    field = Region(20, 30, 10, 12)
    sampler = Sampler([an_image(fields=(field,))], 32)
    for seed in range(10):
        assert sampler.draw(np.random.default_rng(seed))[2].sum() == field.area


def test_a_crop_larger_than_the_image_is_filled_but_does_not_count():
    sampler = Sampler([an_image()], 100)
    rgb, target, known = sampler.draw(np.random.default_rng(0))
    assert rgb.shape == (100, 100, 3)
    assert known.sum() == 3600
    assert (target[~known] == 0).all()


def test_fields_are_drawn_by_their_area():
    large, small = Region(0, 0, 60, 40), Region(0, 45, 20, 10)
    sampler = Sampler([an_image(fields=(large, small))], 20)
    rng = np.random.default_rng(0)
    starts = [sampler.draw(rng)[1][0, 0] for _ in range(300)]
    columns = [int(np.argwhere(an_image().target == v)[0, 1]) for v in starts]
    share = np.mean(np.array(columns) > 30)
    assert share == pytest.approx(200 / 2600, abs=0.06)


def test_images_are_rescaled_by_their_own_pixel_size(train_set):
    (first, _) = detection_images(train_set, mpp=1.1, alpha=3, d_max_um=4.4)
    assert first.rgb.shape == (36, 36, 3)
    dots = (train_set.images[0].nuclei.yx + 0.5) / 2 - 0.5
    nearest = np.round(dots).astype(int)
    assert (first.target[nearest[:, 0], nearest[:, 1]] > 0.5).all()
