from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.methods.detection import DetectionMethod
from napari_nucbudget.types.image import Region


def test_the_sparse_loss_averages_to_the_dense_one(train_set, validation_set, quick):
    method = DetectionMethod(train_set, validation_set, replace(quick, loss_stride=3))
    dense = DetectionMethod(train_set, validation_set, replace(quick, loss_stride=1))
    network = method.network().eval()
    pixels, target, known, _ = method.batch(np.random.default_rng(0))  # 48 = 16 x 3
    cpu = torch.device("cpu")
    with torch.no_grad():
        parts = [
            method.loss(network, (pixels, target, known, np.array([dy, dx])), cpu)["total"]
            for dy in range(3)
            for dx in range(3)
        ]
        whole = dense.loss(network, (pixels, target, known, np.array([0, 0])), cpu)["total"]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_pixels_outside_the_fields_do_not_count(train_set, validation_set, quick):
    method = DetectionMethod(train_set, validation_set, quick)
    network = method.network().eval()
    pixels, target, known, offset = method.batch(np.random.default_rng(0))
    known = np.zeros_like(known)
    known[:, :, :24] = True
    cpu = torch.device("cpu")
    first = method.loss(network, (pixels, target, known, offset), cpu)["total"]
    other = target.copy()
    other[:, :, 24:] = 1 - other[:, :, 24:]
    second = method.loss(network, (pixels, other, known, offset), cpu)["total"]
    assert first.item() == second.item()


def test_background_is_learnt_inside_fields_only(train_set, validation_set, quick):
    image = train_set.images[0]
    small = replace(image, fields=(Region(0, 0, 36, 72),))
    method = DetectionMethod(replace(train_set, images=(small,)), validation_set, quick)
    draws = [method.batch(np.random.default_rng(s)) for s in range(8)]
    assert all(known.mean() < 1 for _, _, known, _ in draws)


def test_no_dot_in_any_field_is_refused(train_set, validation_set, quick):
    empty = tuple(
        replace(i, nuclei=i.nuclei.select(np.zeros(len(i.nuclei), bool))) for i in train_set
    )
    with pytest.raises(TrainingError, match="No dot lies in a field of the 2 images"):
        DetectionMethod(replace(train_set, images=empty), validation_set, quick)


def test_the_folded_detector_gives_what_was_trained(train_set, validation_set, quick):
    method = DetectionMethod(train_set, validation_set, quick)
    network = method.network()
    network.train()
    batch = method.batch(np.random.default_rng(0))
    method.loss(network, batch, torch.device("cpu"))  # moves the running statistics
    network.eval()
    rgb = batch[0][0]
    mean, std = (np.array(v, np.float32) for v in (method.card().input.mean, [0.2] * 3))
    x = torch.from_numpy((rgb / 255 - mean) / std).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = network(x)[0, 0].numpy()
    np.testing.assert_allclose(method.bundle(network).proximity(rgb), expected, atol=1e-5)


def test_the_papers_recipe_uses_the_printed_settings(train_set, validation_set, quick):
    method = DetectionMethod(train_set, validation_set, replace(quick, recipe="paper"))
    config = method.config
    assert (config.learning_rate, config.batch_size, config.crop) == (1e-4, 2, 250)
    assert (config.loss_stride, config.batch_norm, config.stain_jitter) == (1, False, 0.0)
    std = [p.std().item() for n, p in method.network().named_parameters() if "weight" in n]
    assert std == pytest.approx([1e-2] * 6, rel=0.2)


def test_the_papers_recipe_does_not_learn(train_set, validation_set, quick):
    """Its gradients are so small that nothing but the last bias moves (docs/training.md)."""
    method = DetectionMethod(train_set, validation_set, replace(quick, recipe="paper", crop=64))
    network = method.network()
    before = network.conv4.weight.detach().clone()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
    batch = tuple(
        a[:, :64, :64] if a.ndim > 1 else a for a in method.batch(np.random.default_rng(0))
    )
    for _ in range(5):
        optimiser.zero_grad()
        method.loss(network, batch, torch.device("cpu"))["total"].backward()
        optimiser.step()
    moved = (network.conv4.weight - before).abs().max() / before.std()
    assert moved < 1e-3


def test_the_parents_share_lies_between_parent_and_child(train_set, validation_set, quick):
    scratch = DetectionMethod(train_set, validation_set, quick)
    parent = scratch.bundle(scratch.network())
    child = DetectionMethod(train_set, validation_set, quick, parent).network()
    with torch.no_grad():
        for weight in child.parameters():
            weight += 1.0
    for share in (0.0, 0.25, 1.0):
        config = replace(quick, parent_share=share)
        mixed = DetectionMethod(train_set, validation_set, config, parent).bundle(child)
        for new, old in zip(mixed.network.parameters(), parent.network.parameters(), strict=True):
            torch.testing.assert_close(new, old + (1 - share))


def test_fine_tuning_works_at_the_pixel_size_of_the_parent(train_set, validation_set, quick):
    finer = DetectionMethod(train_set, validation_set, replace(quick, mpp=0.4))
    parent = finer.bundle(finer.network())
    method = DetectionMethod(train_set, validation_set, quick, parent)
    assert method.config.mpp == method.card().input.mpp == 0.4
    batch = np.random.default_rng(0)
    for ours, theirs in zip(
        method.batch(batch), finer.batch(np.random.default_rng(0)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_another_network_than_the_parents_is_refused(train_set, validation_set, quick):
    scratch = DetectionMethod(train_set, validation_set, quick)
    parent = scratch.bundle(scratch.network())
    with pytest.raises(TrainingError, match="is a fcn, the settings ask for fcn-fast"):
        DetectionMethod(train_set, validation_set, replace(quick, architecture="fcn-fast"), parent)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_papers_recipe_begins_with_the_parent_as_it_is(train_set, validation_set, quick, share):
    scratch = DetectionMethod(train_set, validation_set, quick)
    parent = scratch.bundle(scratch.network())
    config = replace(quick, recipe="paper", parent_share=share)
    method = DetectionMethod(train_set, validation_set, config, parent)
    network = method.network()
    child = method.bundle(network)
    for new, old in zip(child.network.parameters(), parent.network.parameters(), strict=True):
        torch.testing.assert_close(new, old)
    pixels = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # its targets reach exp(3) - 1 instead of 1
        expected = parent.network(pixels) * np.expm1(config.alpha)
        torch.testing.assert_close(network(pixels), expected, rtol=1e-4, atol=1e-4)


def test_without_validation_images_the_training_fields_choose_the_threshold(train_set, quick):
    nothing = replace(train_set, images=())
    method = DetectionMethod(train_set, nothing, quick)
    assert method.validate(method.network()) == (None, {})
    card = method.finish(method.bundle(method.network())).card
    assert "training fields" in card.split
    assert card.scores == []


def test_validation_images_without_a_field_are_left_out_and_that_is_said(
    train_set, validation_set, quick, caplog
):
    bare = replace(
        validation_set, images=tuple(replace(image, fields=()) for image in validation_set)
    )
    method = DetectionMethod(train_set, bare, quick)
    assert len(method.validation) == 0
    assert "declare no field, and are left out" in caplog.text
    assert method.validate(method.network()) == (None, {})
