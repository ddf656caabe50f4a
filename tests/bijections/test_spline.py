import builtins
import math

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.bijections import Affine, Spline
from flowlat.utils.errors import ConfigError

BINS, BOUND = 4, 2.0


def site(x, params):
    """Rows of one site each: x ``(n,)``, params ``(n_params,)`` -> y and log_det, ``(n,)``."""
    transform = Spline(BINS, BOUND).double()
    x = x.reshape(-1, 1)
    y, log_det = transform(x, params.reshape(1, -1, 1).expand(len(x), -1, 1))
    return y.flatten().detach(), log_det.detach()


@pytest.fixture
def params():
    return torch.randn(3 * BINS + 1, dtype=torch.float64)


def knots(logits):
    """Positions of the knots on (-B, B): zuko's softmax of logits softly clipped at log(1000)/2."""
    clipped = logits / (1 + (2 * logits / math.log(1e-3)).abs())
    return BOUND * (2 * torch.softmax(clipped, 0).cumsum(0) - 1)[:-1]


def test_it_takes_knots_to_knots(params):
    s, t = params[:2]
    x, expected = knots(params[2 : 2 + BINS]), knots(params[2 + BINS : 2 + 2 * BINS])
    torch.testing.assert_close(site(x, params)[0], s.exp() * expected + t)


def test_between_two_knots_it_is_a_ratio_of_quadratics(params):
    """y (1 + e x + f x^2) = a + b x + c x^2: six points of a bin satisfy five unknowns."""
    left, right = knots(params[2 : 2 + BINS])[:2]
    x = left + (right - left) * torch.linspace(0.05, 0.95, 6, dtype=torch.float64)
    y, _ = site(x, params)
    columns = torch.stack([torch.ones_like(x), x, x**2, -x * y, -(x**2) * y], 1)
    solved = torch.linalg.solve(columns[:5], y[:5])
    assert (columns[5] @ solved).item() == pytest.approx(y[5].item(), rel=1e-6)


def test_tails_are_linear_and_the_slope_has_no_jump(params):
    s, t = params[:2]
    x = torch.tensor([-50.0, -2.0, 2.0, 3.0, 50.0], dtype=torch.float64)
    y, log_det = site(x, params)
    torch.testing.assert_close(y, s.exp() * x + t)
    torch.testing.assert_close(log_det, s.expand(5))
    inside = torch.tensor([-2.0, 2.0], dtype=torch.float64) * (1 - 1e-7)
    torch.testing.assert_close(site(inside, params)[1], s.expand(2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("transform", [Affine(), Spline(BINS)], ids=["affine", "spline"])
def test_reflection(transform):
    """-T(-x; theta) = T(x; P theta), and P P = 1."""
    transform.double()
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    params = torch.randn(5, transform.n_params, 3, 4, dtype=torch.float64)
    reflected = transform.reflect(params)
    assert torch.equal(transform.reflect(reflected), params)
    assert (reflected - params).abs().max() > 0.1
    (y, log_det), (minus, log_det_minus) = transform(x, reflected), transform(-x, params)
    torch.testing.assert_close(y, -minus)
    torch.testing.assert_close(log_det, log_det_minus)


def test_where_the_parameters_vanish_it_is_the_identity_to_the_last_bit():
    x = torch.randn(64, 4, 4)
    params = torch.zeros(64, 3 * BINS + 1, 4, 4)
    for direction in (Spline(BINS), Spline(BINS).inverse):
        y, log_det = direction(x, params)
        assert torch.equal(y, x)
        assert torch.equal(log_det, torch.zeros(64))


def test_without_zuko_the_line_says_what_to_install(monkeypatch):
    def missing(name, *rest):
        if name.startswith("zuko"):
            raise ImportError(name)
        return original(name, *rest)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    build_flow(compose([]))
    with pytest.raises(ConfigError, match=r"spline_bins=8: .* pip install 'flowlat\[splines\]'"):
        build_flow(compose(["arch=spline"]))
