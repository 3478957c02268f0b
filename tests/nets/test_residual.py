from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_nucbudget.nets.context_cnn import ContextCnn
from napari_nucbudget.nets.residual import without_norms
from napari_nucbudget.nets.window_cnn import WindowCnn


def normalised(network: nn.Module) -> nn.Module:
    """The network as after training: every batch norm has its own means, spreads and weights."""
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert values is not None
                values.data.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


@pytest.mark.parametrize("kind", [WindowCnn, ContextCnn])
def test_without_norms_a_network_predicts_the_same(kind: type[nn.Module]) -> None:
    network = normalised(kind())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plain = without_norms(network)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    x = torch.randn(2, 3, 65, 65, generator=torch.Generator().manual_seed(1))
    given = (x[..., :64, :64], torch.tensor([0, 1]), torch.tensor([[30.0, 30.0], [9.0, 50.0]]))
    with torch.no_grad():
        arguments = given if kind is WindowCnn else (x,)
        expected, found = network(*arguments), plain(*arguments)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_network_without_norms_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    plain = without_norms(network)
    assert plain is not network
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), network.parameters(), strict=True)
    )
