from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.descriptors import describe, descriptor_names


@pytest.fixture(scope="module")
def patches():
    return np.random.default_rng(0).integers(0, 256, (6, 31, 31, 3)).astype(np.uint8)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", range(4))
def test_turns_and_mirrorings_change_nothing(patches, turn, mirrored):
    seen = np.rot90(patches, turn, axes=(1, 2))
    seen = seen[:, :, ::-1] if mirrored else seen
    np.testing.assert_allclose(describe(seen), describe(patches), atol=1e-5)


def test_every_number_has_a_name_of_its_own(patches):
    names = descriptor_names()
    assert len(set(names)) == len(names) == 74
    assert describe(patches).shape == (6, 74)


def test_a_patch_is_described_without_looking_at_the_others(patches):
    np.testing.assert_array_equal(describe(patches)[2:3], describe(patches[2:3]))


def test_means_are_those_of_the_rings():
    patch = np.full((1, 31, 31, 3), 255, np.uint8)
    rows, columns = np.indices((31, 31)) - 15
    patch[0, np.hypot(rows, columns) <= 3] = (51, 102, 204)
    found = dict(zip(descriptor_names(), describe(patch)[0], strict=True))
    assert found["mean_red_core"] == pytest.approx(0.2)
    assert found["mean_green_core"] == pytest.approx(0.4)
    assert found["mean_blue_body"] == pytest.approx(1.0)


def test_a_dark_bar_is_longer_than_wide():
    patch = np.full((1, 31, 31, 3), 230, np.uint8)
    patch[0, 14:17, 8:23] = (60, 40, 120)
    found = dict(zip(descriptor_names(), describe(patch)[0], strict=True))
    assert found["dark_major"] > 2 * found["dark_minor"]
    assert found["dark_offset"] == pytest.approx(0, abs=1e-5)


def test_a_patch_of_one_colour_has_no_dark_area_and_no_edges():
    found = dict(
        zip(descriptor_names(), describe(np.full((1, 31, 31, 3), 200, np.uint8))[0], strict=True)
    )
    assert np.isfinite(list(found.values())).all()
    assert found["dark_near"] == found["edge_mean_core"] == 0


def test_other_sizes_are_refused(patches):
    with pytest.raises(ValueError, match=r"\(N, 31, 31, 3\), got \(6, 27, 31, 3\)"):
        describe(patches[:, 2:-2])
