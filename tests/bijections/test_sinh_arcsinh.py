import math

import pytest
import torch

from flowlat.bijections import SinhArcsinh
from flowlat.bijections.sinh_arcsinh import log_cosh


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


def test_log_cosh_does_not_overflow():
    x = torch.tensor([0.0, 0.5, -2.0, 1000.0])
    expected = torch.tensor(
        [0.0, math.log(math.cosh(0.5)), math.log(math.cosh(2)), 1000 - math.log(2)]
    )
    torch.testing.assert_close(log_cosh(x), expected)
