"""A classifier of windows gives a nucleus the same class, whatever else is asked about."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import ModelError, TileError
from napari_nucbudget.infer.classify import classifier_grid, evaluate_classifier, iter_classify
from napari_nucbudget.infer.known_nuclei import NucleiInImages
from napari_nucbudget.infer.model_grid import ModelGrid
from napari_nucbudget.infer.slide_blocks import _typed
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.runtimes import RUNTIMES, why_not
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of
from tests.typed_discs import typed_discs, typed_set, untrained


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return untrained("window-cnn")


@pytest.fixture(scope="module")
def source() -> ArraySource:
    """Larger than the middle of a window, so that it takes four."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 240, (68, 80, 3)).astype(np.uint8)
    return ArraySource(np.kron(coarse, np.ones((8, 8, 1), np.uint8)), mpp=0.55, name="coarse")


def typed(source: ArraySource, yx: object, model: Classifier, **settings: object) -> np.ndarray:
    nuclei = Nuclei.from_points(np.asarray(yx, np.float32))
    steps = iter_classify(source, nuclei, model, average=False, **settings)  # type: ignore[arg-type]
    prob = result_of(steps).prob
    assert prob is not None
    return prob


def test_what_a_nucleus_is_given_does_not_hang_on_the_others(
    classifier: Classifier, source: ArraySource
) -> None:
    rng = np.random.default_rng(1)
    yx = np.column_stack([rng.uniform(0, 543, 60), rng.uniform(0, 639, 60)])
    yx[:4] = [[511.4, 300], [511.6, 300], [300, 511.4], [300, 511.6]]
    every = typed(source, yx, classifier)
    assert len(np.unique(every, axis=0)) > 50
    for some in (slice(0, 4), slice(30, 31), rng.permutation(60)):
        found = typed(source, yx[some], classifier)
        np.testing.assert_allclose(found, every[some], rtol=0, atol=2e-7)  # how many at once


def test_the_middle_of_the_image_is_seen_as_the_network_sees_it(
    classifier: Classifier, source: ArraySource
) -> None:
    """By hand: the first window, mirrored at the image's edge, in the network itself."""
    yx = np.array([[100.0, 130.0], [400.25, 500.5]], np.float32)
    margin = (classifier.patch - classifier.core) // 2
    rgb = source.read(Region.whole(source.shape))
    wide = np.pad(rgb, ((margin, 704), (margin, 704), (0, 0)), mode="symmetric")
    x = classifier._input(wide[None, : classifier.patch, : classifier.patch])
    with torch.inference_mode():
        place = torch.from_numpy(yx + margin)
        logits = classifier.network(x, torch.zeros(2, dtype=torch.long), place)
    expected = logits.softmax(1).numpy()
    np.testing.assert_allclose(typed(source, yx, classifier), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 50), (300, 200), (544, 640)])
@pytest.mark.parametrize("step", [1.0, 1.1])
def test_beyond_the_edge_lies_the_mirror_image(shape: tuple[int, int], step: float) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (*shape, 3)).astype(np.uint8)
    grid = ModelGrid.of(ArraySource(rgb, mpp=0.55), mpp=0.55, model_mpp=0.55 * step)
    whole = grid.read(Region.whole(grid.shape))
    wide = np.pad(whole, ((700, 1400), (700, 1400), (0, 0)), mode="symmetric")
    for y, x, height, width in ((-96, -96, 704, 704), (416, -96, 704, 704), (10, 12, 20, 30)):
        found = grid.read_beyond(Region(y, x, height, width))
        expected = wide[700 + y : 700 + y + height, 700 + x : 700 + x + width]
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("architecture", ["window-cnn", "patch-cnn"])
def test_what_does_not_decode_takes_no_more_classes_than_it_must(architecture: str) -> None:
    """Windows are left out as a whole, and each is looked at only once more."""
    coarse = np.random.default_rng(7).integers(60, 240, (70, 140, 3)).astype(np.uint8)
    rgb = np.kron(coarse, np.ones((8, 8, 1), np.uint8))  # 560 x 1120: two rows of three windows

    class Damaged(ArraySource):
        def read(self, region: Region, level: int = 0) -> np.ndarray:
            if region.x < 900 < region.right and region.y < 300 < region.bottom:
                raise TileError("no tile at 300, 900")
            return super().read(region, level)

    model = untrained(architecture)
    damaged = Damaged(rgb, mpp=0.55, name="damaged")
    grid = ModelGrid.of(damaged, mpp=0.55, model_mpp=0.55)
    slide = SimpleNamespace(grid=grid, typing_grid=grid, classifier=model)
    yx = np.random.default_rng(8).uniform(0, (559, 1119), (40, 2)).astype(np.float32)
    yx[0] = 300, 905
    nuclei = Nuclei.from_points(yx, score=0.5, origin="x", id=np.arange(40) + 7)
    found = _typed(slide, nuclei)  # type: ignore[arg-type]
    assert found.prob is not None
    np.testing.assert_array_equal(found.id, nuclei.id)
    np.testing.assert_array_equal(found.yx, nuclei.yx)
    lost = ~found.prob.any(axis=1)
    near = np.abs(yx - (300, 900)).max(axis=1)
    reach = 20 if architecture == "patch-cnn" else 96 + 512
    assert lost[0]
    assert (near[lost] <= reach).all()
    whole = result_of(iter_classify(ArraySource(rgb, mpp=0.55), nuclei, model)).prob
    assert whole is not None
    np.testing.assert_allclose(found.prob[~lost], whole[~lost], atol=1e-6)
    assert (~lost).sum() > 5


def test_turns_and_mirrorings_are_averaged(classifier: Classifier) -> None:
    """The eight views of a turned image are those of the image: the average stays."""
    rgb = np.random.default_rng(3).integers(0, 256, (704, 704, 3)).astype(np.uint8)
    yx = np.array([[350.0, 360.0], [200.0, 500.0], [610.5, 100.25]])
    upright = classifier.in_window(rgb, yx)
    turned = classifier.in_window(np.rot90(rgb), np.column_stack([703 - yx[:, 1], yx[:, 0]]))
    mirrored = classifier.in_window(rgb[:, ::-1], np.column_stack([yx[:, 0], 703 - yx[:, 1]]))
    np.testing.assert_allclose(turned, upright, atol=1e-5)
    np.testing.assert_allclose(mirrored, upright, atol=1e-5)
    assert np.abs(classifier.in_window(rgb, yx, average=False) - upright).max() > 1e-4


@pytest.mark.parametrize("name", [n for n in RUNTIMES if n != "eager"])
def test_every_runtime_gives_the_same_types(classifier: Classifier, name: str) -> None:
    reason = why_not(name, classifier.views, classifier.device)
    if reason is not None:
        with pytest.raises(Exception, match=name):
            classifier.choose(name)
        return
    rgb = np.kron(
        np.random.default_rng(4).integers(60, 240, (88, 88, 3)), np.ones((8, 8, 1))
    ).astype(np.uint8)
    yx = np.random.default_rng(5).uniform(96, 608, (20, 2))
    expected = classifier.in_window(rgb, yx)
    found = classifier.with_runtime(name).in_window(rgb, yx)
    limit = 1e-5 if RUNTIMES[name].exact else 0.05
    assert np.abs(found - expected).max() <= limit


@pytest.mark.parametrize("average", [True, False])
def test_values_that_are_no_numbers_are_noticed(average: bool) -> None:
    model = untrained("window-cnn")
    with torch.no_grad():
        model.network.head.weight[0] = torch.nan  # type: ignore[union-attr, index]
    with pytest.raises(ModelError, match="'untrained' gives values that are not numbers"):
        model.in_window(np.full((704, 704, 3), 128, np.uint8), [[5, 5]], average=average)


def test_a_model_with_a_reference_sees_the_image_stained_like_it(classifier: Classifier) -> None:
    from napari_nucbudget.types.card import StainReference

    reference = StainReference(mean=(0.6, 0.9, 0.5), std=(0.3, 0.4, 0.2))
    spec = classifier.card.input.model_copy(update={"stain": reference})
    stained = replace(classifier, card=classifier.card.model_copy(update={"input": spec}))
    image = typed_discs("a")
    grid = classifier_grid(image.source, stained)
    assert grid.alignment is not None
    plain = typed(image.source, image.nuclei.yx, classifier)
    assert np.abs(typed(image.source, image.nuclei.yx, stained) - plain).max() > 1e-4
    np.testing.assert_array_equal(
        typed(image.source, image.nuclei.yx, classifier, grid=grid),
        typed(image.source, image.nuclei.yx, stained),
    )


def test_known_nuclei_are_scored_as_in_evaluation(classifier: Classifier) -> None:
    first, second = typed_discs("a"), typed_discs("b", seed=1)
    label = first.nuclei.label.copy()
    label[:4] = -1
    labels = typed_set(replace(first, nuclei=replace(first.nuclei, label=label)), second)
    known = NucleiInImages(labels)
    np.testing.assert_array_equal(known.label, np.concatenate([label[4:], second.nuclei.label]))
    np.testing.assert_array_equal(known.image, [0] * 5 + [1] * 9)
    prob = known.probabilities(classifier)
    scores = result_of(evaluate_classifier(labels, classifier))
    assert (prob.argmax(1) == known.label).mean() == pytest.approx(scores.accuracy)
    logits = known.logits(classifier)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(shares, known.probabilities(classifier, average=False), atol=1e-5)
