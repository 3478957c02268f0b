"""Layers to sources and nuclei to points, without a window."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_nucbudget.bridge.layers import (
    image_source,
    layer_transform,
    pixel_size,
    points_layer,
)
from napari_nucbudget.errors import ImageError, PixelSizeError
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

layers = pytest.importorskip("napari.layers", reason="napari (extra 'gui') is not installed")

RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
NUCLEI = Nuclei.from_points([[3, 4], [30, 20]], score=[0.9, 0.4], origin="model")


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (RGB, {}),
        (np.dstack([RGB, np.full((40, 50), 255, np.uint8)]), {}),
        (np.moveaxis(RGB, -1, 0), {"rgb": False}),
        (RGB.astype(np.uint16) * 257, {"rgb": True}),
        (RGB / np.float32(255), {"rgb": True}),
        ([RGB, RGB[::2, ::2]], {"multiscale": True}),
        (zarr.array(RGB), {"rgb": True}),
    ],
    ids=["RGB", "RGBA", "channel first", "16 bit", "float", "multiscale", "zarr"],
)
def test_every_kind_of_layer_gives_the_same_pixels(data, arguments):
    source = image_source(layers.Image(data, name="a", **arguments), mpp=0.5)
    assert source.shape == (40, 50)
    np.testing.assert_array_equal(source.read(Region(5, 6, 20, 30)), RGB[5:25, 6:36])


@pytest.mark.parametrize(
    ("data", "arguments", "words"),
    [
        (RGB[..., 0], {}, "single channel"),
        (np.zeros((7, 40, 50), np.uint8), {}, "7 planes of a single channel"),
        (RGB, {"rgb": False}, "rgb=True"),
        (np.zeros((2, 40, 50, 3), np.uint8), {"rgb": True}, "one plane of the stack"),
    ],
)
def test_what_is_no_colour_image_is_refused_with_words(data, arguments, words):
    with pytest.raises(ImageError, match=words):
        image_source(layers.Image(data, name="a", **arguments))


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((0.25, 0.25), ("um", "um"), 0.25),
        ((250, 250), ("nm", "nm"), 0.25),
        ((0.00025, 0.00025), ("mm", "mm"), 0.25),
        ((0.25, 250), ("um", "nm"), 0.25),
        ((-0.25, 0.25), ("um", "um"), 0.25),
        ((0.25, 0.25), ("pixel", "pixel"), None),
        ((0.25, 0.25), None, None),
    ],
)
def test_the_pixel_size_comes_from_scale_and_units_and_is_never_guessed(scale, units, expected):
    layer = layers.Image(RGB, scale=scale, units=units)
    assert pixel_size(layer) == (None if expected is None else pytest.approx(expected))


def test_a_turned_layer_has_the_same_pixel_size():
    layer = layers.Image(RGB, scale=(0.5, 0.5), units=("um", "um"), rotate=30, translate=(5, 6))
    assert pixel_size(layer) == pytest.approx(0.5)


def test_pixels_that_are_not_square_are_refused():
    with pytest.raises(PixelSizeError, match=r"0.5 x 0.25 µm"):
        pixel_size(layers.Image(RGB, scale=(0.5, 0.25), units=("um", "um")))


def test_pixels_of_a_metre_are_refused():
    with pytest.raises(PixelSizeError, match="not plausible"):
        pixel_size(layers.Image(RGB, scale=(1, 1), units=("m", "m")))


@pytest.mark.parametrize(
    "place",
    [
        {"scale": (0.5, 0.5), "units": ("um", "um")},
        {"translate": (100, -7), "rotate": 33, "shear": [0.2], "scale": (2, 3)},
        {"affine": [[0, -1, 5], [1, 0, 6], [0, 0, 1]], "scale": (0.3, 0.3)},
    ],
)
def test_points_lie_on_their_image_wherever_it_is(place):
    image = layers.Image(RGB, name="he", **place)
    data, arguments, kind = points_layer(NUCLEI, image)
    points = layers.Points(data, **arguments)
    assert kind == "points"
    assert points.name == "nuclei (he)"
    assert points.units == image.units
    for yx in ((0, 0), (12, 34)):
        np.testing.assert_allclose(points.data_to_world(yx), image.data_to_world(yx))


def test_points_lie_on_the_plane_of_a_channel_first_image():
    image = layers.Image(
        np.moveaxis(RGB, -1, 0),
        rgb=False,
        scale=(1, 0.5, 0.5),
        translate=(0, 10, 20),
        units=("pixel", "um", "um"),
    )
    points = layers.Points(NUCLEI.yx, **layer_transform(image))
    assert pixel_size(image) == pytest.approx(0.5)
    np.testing.assert_allclose(points.data_to_world((3, 4)), image.data_to_world((0, 3, 4))[1:])


def test_points_carry_score_origin_and_label_and_the_look_of_proposals():
    data, arguments, _ = points_layer(NUCLEI, layers.Image(RGB))
    points = layers.Points(data, **arguments)
    np.testing.assert_array_equal(points.data, [[3, 4], [30, 20]])
    np.testing.assert_allclose(points.features["score"], [0.9, 0.4])
    assert list(points.features["origin"]) == ["model", "model"]
    assert list(points.features["label"]) == ["unlabelled", "unlabelled"]
    assert points.size.tolist() == [9, 9]
    assert points.canvas_size_limits == (4, 14)
    np.testing.assert_allclose(points.face_color, [[0, 229 / 255, 1, 1]] * 2, atol=1e-6)


def test_nuclei_with_a_class_have_its_colour():
    nuclei = Nuclei.from_points([[0, 0], [1, 1], [2, 2]], label=[1, 2, -1])
    _, arguments, _ = points_layer(nuclei, layers.Image(RGB))
    assert arguments["face_color"] == ["#ffe100", "#39ff14", "#00e5ff"]


def test_no_nuclei_make_an_empty_layer_of_the_same_look():
    data, arguments, _ = points_layer(Nuclei.empty(), layers.Image(RGB))
    points = layers.Points(data, **arguments)
    assert points.data.shape == (0, 2)
    points.data = np.array([[1.0, 2.0]])
    np.testing.assert_allclose(points.face_color, [[0, 229 / 255, 1, 1]], atol=1e-6)
    assert points.size.tolist() == [9]
