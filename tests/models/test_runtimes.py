from __future__ import annotations

import pytest
import torch

from napari_nucbudget.errors import ConfigError, UnknownNameError
from napari_nucbudget.models.runtimes import RUNTIMES, prepare
from napari_nucbudget.models.runtimes.dft import DftForward
from napari_nucbudget.nets.fcn_proximity import FcnConfig, FcnProximity

CPU = torch.device("cpu")


@pytest.fixture
def network():
    generator = torch.Generator().manual_seed(0)
    network = FcnProximity()
    network.initialise(generator)
    with torch.no_grad():
        network.conv6.weight.normal_(0, 0.1, generator=generator)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=generator)
    return network.eval().to(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(1, 1), (22, 44), (23, 21), (75, 130)])
def test_the_frequency_domain_agrees_with_torch(network, size):
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = network(x), prepare(network, CPU, reduced=False, name="dft")(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_in_double_precision_it_agrees_to_double_precision(network):
    network = network.double()
    x = torch.randn(1, 3, 40, 50, dtype=torch.float64)
    with torch.inference_mode():
        expected, found = network(x), DftForward(network)(x)
    assert (found - expected).abs().max() < 1e-12


def test_more_tiles_than_fit_at_once_are_all_computed(network):
    x = torch.randn(1, 3, 22 * 6 + 1, 22 * 5, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, found = network(x), DftForward(network)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_auto_takes_it_for_table_one_in_full_precision_on_a_processor(network):
    assert isinstance(prepare(network, CPU, reduced=False, name="auto"), DftForward)
    assert prepare(network, CPU, reduced=True, name="auto") is network


def test_it_refuses_a_network_with_batch_norm():
    network = FcnProximity(FcnConfig(batch_norm=True)).eval()
    with pytest.raises(ConfigError, match="table 1 only"):
        prepare(network, CPU, reduced=False, name="dft")


def test_an_unknown_runtime_is_answered_with_the_known_ones(network):
    with pytest.raises(UnknownNameError, match=r"runtime named 'ddft'\. Did you mean 'dft'"):
        prepare(network, CPU, reduced=False, name="ddft")
    assert list(RUNTIMES) == ["eager", "dft"]
