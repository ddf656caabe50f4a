"""The fused CPU kernel: the ends of its range, and its plain refusals."""

import pytest
import torch

from flowlat.kernels import StencilSpec, available_kernels, first_use, stencil_stack
from flowlat.kernels.compile import library
from flowlat.kernels.library import kernels, peak_gflops

needs_compiler = pytest.mark.skipif(
    "cpu" not in available_kernels(), reason="no C++ compiler on this machine"
)


def ones(spec, channels=(1, 2), dtype=torch.float32):
    weight = torch.ones(len(spec.branches), channels[1], channels[0], spec.taps, dtype=dtype)
    return [weight.requires_grad_()], [torch.zeros(len(spec.branches), channels[1], dtype=dtype)]


@needs_compiler
def test_an_empty_batch_has_an_empty_output_and_zero_gradients():
    spec = StencilSpec((4, 4), 1, 3, ("tanh",))
    weights, biases = ones(spec)
    y = stencil_stack(torch.empty(0, 1, 4, 4), weights, biases, spec, "cpu")
    assert y.shape == (0, 2, 4, 4)
    y.sum().backward()
    assert torch.equal(weights[0].grad, torch.zeros_like(weights[0]))


@needs_compiler
def test_no_wanted_site_is_an_output_of_zeros():
    spec = StencilSpec((1, 1), 1, 3, ("tanh",), outputs="odd")
    weights, biases = ones(spec)
    y = stencil_stack(torch.ones(3, 1, 1, 1), weights, biases, spec, "cpu")
    assert torch.equal(y, torch.zeros(3, 2, 1, 1))
    y.sum().backward()
    assert torch.equal(weights[0].grad, torch.zeros_like(weights[0]))


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_to_a_few_units_in_the_last_place(dtype):
    x = torch.cat([torch.linspace(-30, 30, 60001), torch.logspace(-8, 0, 8001)]).to(dtype)
    spec = StencilSpec((len(x),), 1, 1, ("tanh",))
    weights, biases = ones(spec, (1, 1), dtype)
    found = stencil_stack(x.reshape(1, 1, -1), weights, biases, spec, "cpu").flatten()
    expected = torch.tanh(x.double())
    assert ((found - expected).abs() <= 4 * torch.finfo(dtype).eps * expected.abs()).all()


@needs_compiler
def test_what_it_cannot_do_is_said():
    spec = StencilSpec((4, 4), 1, 3, ("tanh",))
    weights, biases = ones(spec, dtype=torch.bfloat16)
    x = torch.ones(2, 1, 4, 4, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"float32 or float64 on the CPU, not torch\.bfloat16"):
        stencil_stack(x, weights, biases, spec, "cpu")
    assert stencil_stack(x, weights, biases, spec).dtype == torch.bfloat16  # auto: plain PyTorch


@needs_compiler
def test_peak_is_measured():
    for dtype in (torch.float32, torch.float64):
        assert 0.1 < peak_gflops(dtype) < 1e4


def test_the_kernel_asked_for_by_name_needs_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(first_use, "_faults", {})  # which are for the whole process
    monkeypatch.setattr(first_use, "_sound", set())
    for cached in (library, kernels):
        cached.cache_clear()
    try:
        spec = StencilSpec((4, 4), 1, 3, ("tanh",))
        with pytest.raises(RuntimeError, match="no-such-compiler") as error:
            stencil_stack(torch.ones(2, 1, 4, 4), *ones(spec), spec, "cpu")
        assert "\n" not in str(error.value)
    finally:
        for cached in (library, kernels):
            cached.cache_clear()
