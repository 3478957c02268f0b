from __future__ import annotations

import torch

from napari_nucbudget.nets.patch_cnn import PatchCnn, PatchCnnConfig


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_the_parameters_are_as_many_as_published():
    assert parameters(PatchCnn()) == 896_471
    assert parameters(PatchCnn(PatchCnnConfig(classes=4))) == 896_984


def test_it_takes_patches_of_27_pixels():
    network = PatchCnn(PatchCnnConfig(classes=5)).eval()
    assert network(torch.zeros(2, 3, PatchCnn.patch, PatchCnn.patch)).shape == (2, 5)


def test_shifted_views_are_those_of_shifted_patches():
    network = PatchCnn().eval()
    network.initialise(torch.Generator().manual_seed(0))
    x = torch.randn(4, 3, 31, 31, generator=torch.Generator().manual_seed(1))
    offsets = ((2, 2), (0, 2), (4, 2), (2, 0), (2, 4))
    by_hand = torch.stack([network(x[:, :, y : y + 27, c : c + 27]) for y, c in offsets])
    torch.testing.assert_close(network.shifted(x), by_hand, rtol=1e-4, atol=1e-5)
