from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from napari_nucbudget.errors import ConfigError, UnknownNameError
from napari_nucbudget.models.library import load_detector
from napari_nucbudget.models.runtimes import RUNTIMES, plain_runtime, prepare, why_not
from napari_nucbudget.models.runtimes.amx import has_amx
from napari_nucbudget.models.runtimes.cuda import GraphForward
from napari_nucbudget.models.runtimes.dft import DftForward
from napari_nucbudget.models.runtimes.fft import FftForward
from napari_nucbudget.models.runtimes.fft_sizes import NARROW, WIDE
from napari_nucbudget.models.runtimes.reduced import reduced_copy
from napari_nucbudget.nets.fcn_proximity import FcnConfig, FcnProximity
from tests.typed_discs import untrained

CPU = torch.device("cpu")
needs_amx = pytest.mark.skipif(
    find_spec("llvmlite") is None or not has_amx(), reason="no Intel AMX here, or no llvmlite"
)


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


def skip_without(network, name):
    reason = why_not(name, network, CPU)
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("name", ["dft", "fft"])
@pytest.mark.parametrize("size", [(1, 1), (34, 68), (35, 33), (38, 77), (75, 130), (300, 5)])
def test_the_frequency_domain_agrees_with_torch(network, size, name):
    skip_without(network, name)
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = network(x), prepare(network, CPU, None, name)(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_in_double_precision_it_agrees_to_double_precision(network):
    network = network.double()
    x = torch.randn(1, 3, 40, 50, dtype=torch.float64)
    with torch.inference_mode():
        expected, found = network(x), DftForward(network)(x)
    assert (found - expected).abs().max() < 1e-12


def test_more_tiles_than_fit_at_once_are_all_computed(network):
    x = torch.randn(1, 3, 34 * 6 + 1, 34 * 5, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, found = network(x), DftForward(network)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def on_threads(count, network, **options):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        return FftForward(network, **options)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("numbers", ["float32", "pairs"])
@pytest.mark.parametrize("count", [1, 3])
def test_registers_and_threads_do_not_change_what_is_computed(network, numbers, count):
    skip_without(network, "fft" if numbers == "float32" else "fft-bf16")
    x = torch.randn(1, 3, 120, 201, generator=torch.Generator().manual_seed(6))
    forwards = [on_threads(count, network, numbers=numbers, sums=sums) for sums in (WIDE, NARROW)]
    with torch.no_grad():
        expected = network(x)
        wide, narrow = (forward(x) for forward in forwards)
    limit = 1e-5 if numbers == "float32" else 0.05
    assert (wide - expected).abs().max() < limit * expected.abs().max()
    torch.testing.assert_close(narrow, wide, rtol=1e-5, atol=1e-6)


@needs_amx
@pytest.mark.parametrize("size", [(1, 1), (38, 77), (120, 201), (200, 30)])
def test_tile_registers_differ_from_pairs_by_less_than_either_from_float32(network, size):
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        exact = network(x)
        pairs = on_threads(1, network, numbers="pairs")(x)
        one, three = (on_threads(count, network, numbers="amx")(x) for count in (1, 3))
    assert torch.equal(one, three)
    assert (one - pairs).abs().mean() < 0.5 * (pairs - exact).abs().mean()


def test_without_tile_registers_pairs_are_multiplied(network, monkeypatch):
    skip_without(network, "fft-bf16")
    monkeypatch.setattr("napari_nucbudget.models.runtimes.fft.has_amx", lambda: False)
    x = torch.randn(1, 3, 50, 60, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        found = prepare(network, CPU, None, "fft-bf16")(x)
        assert torch.equal(found, FftForward(network, numbers="pairs")(x))


@pytest.mark.parametrize("name", ["dft", "fft", "fft-bf16"])
def test_what_is_no_number_stays_none(network, name):
    skip_without(network, name)
    with torch.no_grad():
        network.conv2.weight[3, 5, 1, 1] = torch.nan
    x = torch.randn(1, 3, 50, 60, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        assert prepare(network, CPU, None, name)(x).isnan().any()


@pytest.mark.parametrize("name", ["dft", "dft-bf16", "fft", "fft-bf16"])
def test_what_a_call_leaves_in_memory_does_not_show_in_the_next(network, name):
    skip_without(network, name)
    forward = prepare(network, CPU, None, name)
    generator = torch.Generator().manual_seed(4)
    images = [torch.randn(1, 3, *size, generator=generator) for size in ((150, 40), (20, 70))]
    with torch.inference_mode():
        alone = [prepare(network, CPU, None, name)(x) for x in images]
        for index in (0, 1, 0):
            assert torch.equal(forward(images[index]), alone[index])
    with torch.no_grad():
        assert torch.equal(forward(images[1]), alone[1])


@pytest.mark.parametrize("name", ["dft", "fft"])
def test_threads_do_not_write_over_each_others_values(network, name):
    skip_without(network, name)
    forward = prepare(network, CPU, None, name)
    generator = torch.Generator().manual_seed(5)
    images = [torch.randn(1, 3, 90, 80, generator=generator) for _ in range(4)]

    def compute(x):
        with torch.inference_mode():
            return forward(x)

    alone = [compute(x) for x in images]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(compute, images * 3))
    assert all(torch.equal(a, b) for a, b in zip(together, alone * 3, strict=True))


def test_without_measuring_table_one_is_computed_exactly_on_a_processor(network):
    assert plain_runtime(network, CPU, reduced=False) == "dft"
    assert plain_runtime(network, CPU, reduced=True) == "eager"


@pytest.mark.parametrize("name", ["dft", "fft", "fft-bf16"])
def test_it_refuses_a_network_with_batch_norm(network, name):
    skip_without(network, name)
    network = FcnProximity(FcnConfig(batch_norm=True)).eval()
    with pytest.raises(ConfigError, match="table 1 only"):
        prepare(network, CPU, None, name)


def test_bfloat16_that_the_processor_does_not_multiply_is_refused(network, monkeypatch):
    monkeypatch.setattr("napari_nucbudget.models.runtimes.fft.has_bfloat16", lambda: False)
    monkeypatch.setattr("napari_nucbudget.models.runtimes.fft.absent", lambda: None)
    with pytest.raises(ConfigError, match=r"does not multiply bfloat16.*use the runtime fft"):
        prepare(network, CPU, None, "fft-bf16")


def test_without_llvm_it_says_what_to_install(network, monkeypatch):
    monkeypatch.setattr("napari_nucbudget.models.runtimes.lanes.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"llvmlite is not installed; pip install"):
        prepare(network, CPU, None, "fft")


def test_an_llvm_too_old_is_refused(network, monkeypatch):
    pytest.importorskip("llvmlite", reason="llvmlite (extra fast) is not installed")
    monkeypatch.setattr("napari_nucbudget.models.runtimes.lanes.version", lambda name: "0.44.0")
    with pytest.raises(ConfigError, match=r"llvmlite 0\.44\.0 is too old; pip install -U"):
        prepare(network, CPU, None, "fft")


def test_an_llvm_that_does_not_load_is_refused_in_words(network, monkeypatch):
    pytest.importorskip("llvmlite", reason="llvmlite (extra fast) is not installed")
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    with pytest.raises(ConfigError, match=r"llvmlite cannot be loaded \(.*\); pip install"):
        prepare(network, CPU, None, "fft")


@pytest.mark.parametrize("name", ["fft", "fft-bf16"])
def test_code_for_table_1_refuses_other_widths(network, name):
    skip_without(network, name)
    narrow = FcnProximity(FcnConfig(width=8, head_width=256)).eval()
    with pytest.raises(ConfigError, match="widths of table 1 only; use the runtime dft"):
        prepare(narrow, CPU, None, name)


def test_an_unknown_runtime_is_answered_with_the_known_ones(network):
    with pytest.raises(UnknownNameError, match=r"runtime named 'ddft'\. Did you mean 'dft'"):
        prepare(network, CPU, None, "ddft")


@pytest.mark.parametrize("name", list(RUNTIMES))
def test_every_runtime_that_can_be_used_agrees_with_torch_on_any_size(network, name):
    reason = why_not(name, network, CPU)
    if reason is not None:
        with pytest.raises(ConfigError, match=f"runtime '{name}' cannot be used here"):
            prepare(network, CPU, None, name)
        return
    forward = prepare(network, CPU, None, name)
    limit = 1e-5 if RUNTIMES[name].exact else 0.05
    for size in ((40, 57), (64, 33)):
        x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected, found = network(x), forward(x)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < limit * expected.abs().max()


def test_a_shape_that_comes_again_is_replayed_with_the_new_pixels(network):
    forward = GraphForward(network, CPU, torch.bfloat16)
    generator = torch.Generator().manual_seed(3)
    kept = []
    for _ in range(4):
        x = torch.randn(1, 3, 24, 30, generator=generator)
        with torch.inference_mode():
            expected, found = network(x), forward(x)
        assert (found - expected).abs().max() < 0.05 * expected.abs().max()
        kept.append((found, found.clone()))
    assert all(torch.equal(now, then) for now, then in kept)  # none is written over


def test_reduced_precision_on_a_processor_has_bands_too() -> None:
    detector = load_detector("nuclei-fast", device="cpu", precision="bfloat16")
    assert detector.with_runtime("eager").band_rows == 128
    rgb = np.random.default_rng(0).uniform(0, 255, (400, 90, 3)).astype(np.float32)
    plain = detector.with_runtime("eager")
    parts = list(plain.proximity_in_bands(np.split(rgb, [128, 256])))
    np.testing.assert_allclose(np.concatenate(parts), plain.proximity(rgb), atol=0.02)


@pytest.mark.parametrize(
    ("kind", "kept"), [("patch-cnn", 2), ("context-cnn", 3), ("window-cnn", 2)]
)
def test_a_classifier_keeps_the_layers_that_see_pixels_and_that_give_classes(kind, kept):
    network = untrained(kind).views
    small = reduced_copy(network, torch.bfloat16)
    layers = [m for m in small.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    exact = [layer for layer in layers if layer.weight.dtype == torch.float32]
    assert len(exact) == kept
    assert exact[0] is layers[0]
    assert exact[-1] is small.head
    assert all(layer.weight.shape[1] == 3 for layer in exact[:-1])
    assert {layer.weight.dtype for layer in layers} == {torch.float32, torch.bfloat16}
