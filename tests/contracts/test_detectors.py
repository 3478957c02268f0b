"""What every registered detector network promises, without a line of test code of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from napari_nucbudget.models.bundle import build_network
from napari_nucbudget.nets import DETECTORS


@pytest.fixture(params=sorted(DETECTORS))
def network(request: pytest.FixtureRequest) -> Any:
    built: Any = build_network(request.param, {})
    if hasattr(built, "initialise"):
        built.initialise(torch.Generator().manual_seed(0))
    return built.eval()


def image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_its_config_is_a_frozen_dataclass_whose_defaults_build_it(name: str) -> None:
    network: Any = build_network(name, {})
    config = network.config
    assert dataclasses.is_dataclass(config)
    assert type(config).__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert build_network(name, dataclasses.asdict(config)).config == config  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (33, 40)])
def test_its_map_has_the_size_of_the_image(network: Any, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert network(image(*size)).shape == (1, 1, *size)


def test_it_looks_no_further_than_its_receptive_field(network: Any) -> None:
    radius = network.receptive_field // 2
    assert network.receptive_field == 2 * radius + 1
    side = 2 * radius + 4 + network.alignment
    seen = []
    for phase in range(network.alignment):  # a network with strides sees further on one side
        centre = radius + 2 + phase
        x = image(side, side)
        with torch.inference_mode():
            before = network(x)[0, 0, centre, centre].item()
            x[:, :, :, [centre - radius - 1, centre + radius + 1]] += 100
            x[:, :, [centre - radius - 1, centre + radius + 1]] += 100
            assert network(x)[0, 0, centre, centre].item() == pytest.approx(before, abs=1e-5)
            x[:, :, centre - radius : centre + radius + 1, centre - radius] += 1e4
            x[:, :, centre - radius : centre + radius + 1, centre + radius] += 1e4
            after = network(x)[0, 0, centre, centre].item()
        seen.append(after != pytest.approx(before, abs=1e-5))
    assert any(seen)


def test_a_window_at_its_alignment_gives_the_values_of_the_image(network: Any) -> None:
    radius, align = network.receptive_field // 2, network.alignment
    halo = -(-radius // align) * align
    x = image(2 * halo + 3 * align + 5, 2 * halo + 3 * align + 1)
    with torch.inference_mode():
        whole = network(x)
        top = align  # the bottom of the image is no multiple of the alignment
        part = network(x[:, :, top:, top : top + 2 * halo + align])
    torch.testing.assert_close(
        part[:, :, halo:, halo : halo + align],
        whole[:, :, top + halo :, top + halo : top + halo + align],
        rtol=1e-4,
        atol=1e-5,
    )


def test_its_strided_output_is_the_dense_one_at_those_pixels(network: Any) -> None:
    x = image(26, 31)
    with torch.inference_mode():
        dense = network(x)
        strided = network(x, stride=3, offset=(1, 2))
    torch.testing.assert_close(strided, dense[:, :, 1::3, 2::3], rtol=1e-4, atol=1e-5)


def test_an_image_does_not_change_its_neighbour_in_the_batch(network: Any) -> None:
    x = torch.cat([image(20, 20, 0), image(20, 20, 1)])
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[:1], network(x[:1]), rtol=1e-4, atol=1e-5)
