from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_nucbudget.nets.window_cnn import WindowCnn, WindowCnnConfig

SIDE = 128


@pytest.fixture(scope="module")
def network():
    made = WindowCnn(WindowCnnConfig(classes=3))
    made.initialise(torch.Generator().manual_seed(0))
    return made.eval()


def windows(count=2, side=SIDE):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_weights_take_less_than_five_megabytes(network):
    assert sum(p.numel() for p in network.parameters()) == 1_193_572
    assert sum(v.nbytes for v in network.state_dict().values()) < 5_000_000


def test_the_middle_of_a_window_leaves_the_same_margin_on_all_sides():
    assert (WindowCnn.patch - WindowCnn.core) % 64 == 0
    assert WindowCnn.patch % 32 == WindowCnn.core % 32 == 0


def test_places_give_one_logit_a_class_each_in_its_window(network):
    x = windows()
    window, yx = torch.tensor([0, 1, 1]), torch.tensor([[5.0, 9.0], [5.0, 9.0], [70.0, 31.5]])
    together = network(x, window, yx)
    assert together.shape == (3, 3)
    alone = network(x[1:], torch.tensor([0]), yx[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("size", [(64, 96), (128, 128)])
def test_a_place_is_read_between_the_pixels_of_the_map(network, size):
    """Against torch's own sampling, whose coordinates run from -1 to 1 over the window."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 3, *size, generator=generator)
    yx = torch.rand(2, 40, 2, generator=generator) * (torch.tensor(size) + 6) - 3
    yx[:, :3] = torch.tensor([[0, 0], [size[0] - 1, size[1] - 1], [1.5, 5.5]])
    grid = ((yx + 0.5) / torch.tensor(size) * 2 - 1).flip(-1)[:, None]
    with torch.no_grad():
        sampled = F.grid_sample(network.maps(x), grid, padding_mode="border", align_corners=False)
        expected = F.relu(network.feature_norm(sampled[:, :, 0].transpose(1, 2))).flatten(0, 1)
        window = torch.arange(2).repeat_interleave(40)
        found = network.features(network.packed(x), size, window, yx.flatten(0, 1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert len(expected.unique(dim=0)) > 70


def test_turning_the_window_turns_the_places_of_the_map(network):
    """With symmetric filters the map of the mirrored window is the mirrored map: no half pixel."""
    with torch.no_grad():
        made = WindowCnn().eval()
        for layer in made.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.copy_((layer.weight + layer.weight.flip(3)) / 2)
        x = windows(1)
        torch.testing.assert_close(made.maps(x.flip(3)), made.maps(x).flip(3), rtol=1e-3, atol=1e-4)


def test_tissue_sixty_micrometres_away_counts(network):
    x = windows(1, 256)
    other = x.clone()
    other[..., :16, :] = 1.0  # 110 pixels of 0.55 µm from the place
    window, yx = torch.tensor([0]), torch.tensor([[126.0, 128.0]])
    assert not torch.equal(network(x, window, yx), network(other, window, yx))


def test_finding_has_no_say_in_types(network):
    x, window, yx = windows(1), torch.tensor([0]), torch.tensor([[40.0, 40.0]])
    before = network(x, window, yx)
    kept = network.find.weight.detach().clone()
    with torch.no_grad():
        network.find.weight.fill_(9.0)
        assert torch.equal(network(x, window, yx), before)
        network.find.weight.copy_(kept)
