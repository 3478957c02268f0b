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
