"""The fused filter against plain PyTorch."""

from functools import partial

import pytest
import torch

from flowlat.kernels import available_kernels, spectral_filter
from flowlat.kernels.filter import filter_fused, filter_reference
from flowlat.lattice import Fourier, Lattice, shell_of, shells
from tests.kernels.test_fused import SHAPES

pytestmark = pytest.mark.skipif("cpu" not in available_kernels(), reason="needs a C++ compiler")

DTYPES = [torch.float32, torch.float64]


def amplitude_of(shape, dtype):
    generator = torch.Generator().manual_seed(4)
    n = len(shells(shape)[0])
    return (0.5 + torch.rand(n, generator=generator, dtype=torch.float64)).to(dtype)


def transform_of(shape):
    fourier = Fourier(Lattice(shape))
    return {"fourier": fourier, "shell": shell_of(fourier.khat2, shape)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 19])
def test_values_and_gradients(shape, dtype, batch):
    """Against float64."""
    generator = torch.Generator().manual_seed(2)
    x, weights = torch.randn(2, batch, *shape, generator=generator).to(dtype)
    amplitude = amplitude_of(shape, dtype)

    def results(function, dtype):
        given = [t.to(dtype).requires_grad_() for t in (x, amplitude)]
        y, _ = function(*given)
        return [y, *torch.autograd.grad((weights.to(dtype) * y).sum(), given)]

    found = results(filter_fused, dtype)
    expected = results(partial(filter_reference, **transform_of(shape)), torch.float64)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        close = 30 * torch.finfo(dtype).eps * b.abs().max().item()
        torch.testing.assert_close(a.double(), b, rtol=0, atol=close)


@pytest.mark.parametrize("shape", [(5,), (4, 6), (4, 4, 4), (2, 3, 4, 5)])
def test_the_gradients_are_those_of_finite_differences(shape):
    x = torch.randn(3, *shape, dtype=torch.float64, requires_grad=True)
    amplitude = amplitude_of(shape, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: filter_fused(*given)[0], (x, amplitude))


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
def test_a_gradient_that_is_not_wanted_changes_nothing(needed):
    x = torch.randn(3, 4, 6).requires_grad_(needed[0])
    amplitude = amplitude_of((4, 6), x.dtype).requires_grad_(needed[1])
    wanted = x if needed[0] else amplitude
    weights = torch.randn(3, 4, 6)
    both = filter_fused(x.detach().requires_grad_(), amplitude.detach().requires_grad_())[0]
    expected = torch.autograd.grad(both, both.grad_fn.saved_tensors, weights)
    (found,) = torch.autograd.grad(filter_fused(x, amplitude)[0], wanted, weights)
    assert torch.equal(found, expected[0 if needed[0] else 1])


def test_no_configuration():
    y, _ = filter_fused(torch.empty(0, 4, 4), amplitude_of((4, 4), torch.float32))
    assert y.shape == (0, 4, 4)


def test_any_number_of_threads_and_any_strides():
    x = torch.randn(8, 64, 130).permute(2, 0, 1)
    assert not x.is_contiguous()
    amplitude = amplitude_of((8, 64), x.dtype).requires_grad_()
    found = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        y, _ = spectral_filter(x, amplitude, **transform_of((8, 64)))
        (grad,) = torch.autograd.grad(y.square().sum(), amplitude)
        torch.set_num_threads(before)
        found.append((y, grad))
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)
