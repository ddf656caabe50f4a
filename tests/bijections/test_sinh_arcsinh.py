import math

import pytest
import torch

from flowlat.bijections import Bijection, SinhArcsinh
from flowlat.kernels.sinh_arcsinh import asinh as asinh_of
from flowlat.kernels.sinh_arcsinh import cosh_of


def moved(odd):
    map_ = SinhArcsinh(odd).double()
    with torch.no_grad():
        map_.log_a.fill_(0.4)
        map_.log_b.fill_(-0.2)
        map_.log_delta.fill_(-0.5)
        if not odd:
            map_.offsets.copy_(torch.tensor([0.3, -0.2, 0.7]))
    return map_


def test_it_starts_as_the_identity():
    x = torch.randn(3, 4, 4, dtype=torch.float64)
    y, log_det = SinhArcsinh(odd=False).double()(x)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_det, torch.zeros(3, dtype=torch.float64))


def test_formula():
    x = torch.linspace(-4, 4, 9, dtype=torch.float64).reshape(1, 9)
    a, b, delta, m, eps, n = math.exp(0.4), math.exp(-0.2), math.exp(-0.5), 0.3, -0.2, 0.7
    expected = b / a * torch.sinh(delta * (torch.asinh(a * (x - m)) + eps)) + n
    torch.testing.assert_close(moved(odd=False)(x)[0], expected)


@pytest.mark.parametrize("odd", [True, False])
def test_inverse_and_derivative(odd):
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    y, log_det = moved(odd)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_det, slope.log().sum(1))
    back, log_det_back = moved(odd).inverse(y)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(log_det_back, -log_det)


def test_odd_is_odd():
    x = torch.randn(2, 5, dtype=torch.float64)
    plus, minus = moved(odd=True)(x), moved(odd=True)(-x)
    torch.testing.assert_close(minus[0], -plus[0])
    torch.testing.assert_close(minus[1], plus[1])
    assert (moved(odd=False)(-x)[0] + moved(odd=False)(x)[0]).abs().min() > 0.1


def test_delta_is_the_power_of_the_tail():
    map_ = SinhArcsinh(odd=True).double()
    map_.log_delta.data.fill_(math.log(0.5))
    y, _ = map_(torch.tensor([[1e8, 1e12]], dtype=torch.float64))
    assert (y[0, 1] / y[0, 0]).item() == pytest.approx(1e4**0.5, rel=1e-6)


def asinh(x):
    return asinh_of(x, cosh_of(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_asinh(dtype):
    """To rounding, from the smallest numbers to the largest, with two derivatives."""
    size = torch.logspace(-30, 37, 200, dtype=torch.float64)
    x = torch.cat([-size, torch.zeros(1), size]).to(dtype)
    torch.testing.assert_close(
        asinh(x).double(), torch.asinh(x.double()), rtol=3 * torch.finfo(dtype).eps, atol=0
    )
    x = torch.tensor([-2.0, -0.3, 0.0, 1.0, 5.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(asinh, x)
    assert torch.autograd.gradgradcheck(asinh, x)


@pytest.mark.parametrize("odd", [True, False])
def test_the_score_is_that_by_the_inverse(odd):
    x, score = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(
        moved(odd).with_score(x, score), Bijection.with_score(moved(odd), x, score)
    )


def test_cosh_does_not_overflow():
    x = torch.tensor([0.0, 0.5, -2.0, 1e30])
    torch.testing.assert_close(cosh_of(x), torch.tensor([1.0, math.hypot(1, 0.5), 5**0.5, 1e30]))
