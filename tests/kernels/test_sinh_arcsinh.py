"""The fused sinh-arcsinh map against plain PyTorch."""

import pytest
import torch

from flowlat.bijections import SinhArcsinh
from flowlat.kernels import available_kernels, sinh_arcsinh
from flowlat.kernels.sinh_arcsinh import sinh_arcsinh_fused, sinh_arcsinh_reference

pytestmark = pytest.mark.skipif("cpu" not in available_kernels(), reason="needs a C++ compiler")

#: a, delta, r, m, eps, n
PARAMETERS = torch.tensor([1.5, 0.6, 0.8, 0.3, -0.2, 0.7], dtype=torch.float64)
ODD = PARAMETERS * torch.tensor([1, 1, 1, 0, 0, 0])
EPS = {dtype: torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64)}


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("parameters", [PARAMETERS, ODD])
@pytest.mark.parametrize("shape", [(1, 1), (3, 64), (65, 3, 5), (2, 0), (0, 4)])
def test_values_score_and_gradients(dtype, inverse, parameters, shape):
    """Against float64, to some units in the last place of the largest; the lanes at the end too."""
    generator = torch.Generator().manual_seed(2)
    x, score = (3 * torch.randn(2, *shape, generator=generator)).to(dtype)
    weights = torch.randn(*shape, generator=generator), torch.randn(len(x), generator=generator)

    def results(function, dtype):
        given = x.to(dtype).requires_grad_(), parameters.float().to(dtype).requires_grad_()
        *out, of_score = function(*given, inverse, score.to(dtype))
        assert not of_score.requires_grad
        loss = sum((w.to(dtype) * o).sum() for w, o in zip(weights, out, strict=True))
        return [*out, of_score, *torch.autograd.grad(loss, given)]

    found = results(sinh_arcsinh_fused, dtype)
    expected = results(sinh_arcsinh_reference, torch.float64)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        scale = b.abs().max().item() if b.numel() else 0
        torch.testing.assert_close(a.double(), b, rtol=0, atol=40 * EPS[dtype] * scale)


@pytest.mark.parametrize("dtype", EPS)
def test_every_size_of_a_number(dtype):
    """Relative to each number, however small: sinh v has v times the relative error of v."""
    size = torch.logspace(-30, 30, 601, dtype=torch.float64)
    x = torch.cat([-size, torch.zeros(1, dtype=torch.float64), size]).to(dtype)[:, None]
    odd = ODD.to(dtype)
    y, log_det = sinh_arcsinh_fused(x, odd)
    expected, of_exact = sinh_arcsinh_reference(x.double(), odd.double())
    torch.testing.assert_close(y.double(), expected, rtol=100 * EPS[dtype], atol=0)
    torch.testing.assert_close(log_det.double(), of_exact, rtol=8 * EPS[dtype], atol=EPS[dtype])
    back, _ = sinh_arcsinh_fused(y, odd, inverse=True)
    torch.testing.assert_close(back, x, rtol=200 * EPS[dtype], atol=0)


@pytest.mark.parametrize("inverse", [False, True])
def test_beyond_all_numbers(inverse):
    """Overflow is what it is in PyTorch."""
    x = torch.tensor([[1e38], [-1e38], [torch.inf], [-torch.inf], [torch.nan]])
    steep = torch.tensor([1.0, 1.3 ** (1 - 2 * inverse), 1.0, 0, 0, 0])
    y, log_det = sinh_arcsinh_fused(x, steep, inverse)
    expected, _ = sinh_arcsinh_reference(x, steep, inverse)
    torch.testing.assert_close(y, expected, equal_nan=True)
    assert y[0] == torch.inf
    assert not log_det.isfinite().any()


def test_it_is_odd_to_the_last_digit():
    x = torch.randn(3, 37)
    for parameters, inverse in [(ODD, False), (ODD, True)]:
        plus = sinh_arcsinh_fused(x, parameters.float(), inverse)
        minus = sinh_arcsinh_fused(-x, parameters.float(), inverse)
        assert torch.equal(plus[0], -minus[0])
        assert torch.equal(plus[1], minus[1])


def test_gradients_of_the_bijection():
    map_ = SinhArcsinh(odd=False).double()
    with torch.no_grad():
        for parameter, value in zip(map_.parameters(), (0.4, -0.2, -0.5, 0.3), strict=True):
            parameter.fill_(value)
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    names = dict(map_.named_parameters())

    def function(x, *parameters):
        given = dict(zip(names, parameters, strict=True))
        there = torch.func.functional_call(map_, given, (x,))
        back = torch.func.functional_call(Backwards(map_), rename(given), (x,))
        return *there, *back

    assert torch.autograd.gradcheck(function, (x, *names.values()))


class Backwards(torch.nn.Module):
    def __init__(self, map_):
        super().__init__()
        self.map = map_

    def forward(self, y):
        return self.map.inverse(y)


def rename(parameters):
    return {f"map.{name}": value for name, value in parameters.items()}


def test_any_number_of_threads_and_any_strides():
    x = torch.randn(64, 33, 65).permute(2, 0, 1)
    assert not x.is_contiguous()
    parameters = PARAMETERS.float().requires_grad_()
    found = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        y, log_det = sinh_arcsinh(x, parameters)
        (grad,) = torch.autograd.grad(y.sum() + log_det.sum(), parameters)
        torch.set_num_threads(before)
        found.append((y, log_det, grad))
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)
