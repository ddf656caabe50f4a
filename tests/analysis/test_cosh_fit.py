"""The cosh fit: exact on a cosh, with the gradient of its minimum, and an honest error."""

import math

import numpy as np
import pytest
import torch

from flowlat.analysis.cosh_fit import CoshFit, Plateau
from flowlat.analysis.estimates import chain_estimate
from flowlat.observables import Observable

AMPLITUDE = 0.3


class Given(Observable):
    """Stands for a two-point function that is measured as it is."""

    symbol = "C(t)"

    def measure(self, configurations):
        raise NotImplementedError


def cosh(mass, period):
    t = torch.arange(period // 2 + 1, dtype=torch.float64)
    return AMPLITUDE * (torch.exp(-mass * t) + torch.exp(-mass * (period - t)))


def fit(period, first=1, sigma=None):
    times = torch.arange(first, period // 2 + 1)
    sigma = torch.ones(len(times)) if sigma is None else sigma[times]
    return CoshFit(Given(), times, sigma, period)


@pytest.mark.parametrize("period", [4, 7, 20, 64])
@pytest.mark.parametrize("mass", [0.05, 0.7, 3.0])
def test_a_cosh_is_found(mass, period):
    c = cosh(mass, period)
    assert fit(period, sigma=0.01 * c).derive(c).tolist() == pytest.approx([AMPLITUDE, mass])
    assert Plateau(Given(), period).derive(c).tolist() == pytest.approx([mass] * (period // 2))


def test_the_gradient_is_that_of_the_minimum():
    c = cosh(0.7, 12) * (1 + 0.05 * torch.randn(7, dtype=torch.float64))
    observable = fit(12, sigma=0.05 * c)
    point = c.clone().requires_grad_()
    found = torch.stack(
        [torch.autograd.grad(observable.derive(point)[i], point)[0] for i in (0, 1)]
    )
    for t in range(7):
        step = 1e-6 * (torch.arange(7) == t)
        slope = (observable.derive(c + step) - observable.derive(c - step)) / 2e-6
        assert found[:, t].tolist() == pytest.approx(slope.tolist(), abs=1e-5)


def test_the_minimum_is_one():
    c = cosh(0.7, 12) * (1 + 0.05 * torch.randn(7, dtype=torch.float64))
    observable = fit(12, sigma=0.05 * c)
    best = observable.derive(c)
    lowest = observable.chi2(best, c[1:])
    for step in 0.01 * torch.randn(50, 2, dtype=torch.float64):
        assert observable.chi2(best * (1 + step), c[1:]) > lowest


@pytest.mark.parametrize(
    "c", [-cosh(1.0, 8), torch.ones(5).double(), torch.arange(1.0, 6).double()]
)
def test_what_does_not_decay_has_no_mass(c):
    """Of a constant or of what grows with t the mass is NaN or the smallest there is."""
    mass = fit(8).derive(c)[1].item()
    assert math.isnan(mass) or mass < 0.01


def test_the_error_is_that_of_the_scatter():
    """Fits of 100 independent ensembles: their scatter against the error that each claims.

    The standard deviation of 100 is known to 7%; 28% off has p < 1e-4, 4 sigma of the mean 6e-5.
    """
    numbers, true = np.random.default_rng(5), cosh(0.7, 8)
    # noise that neighbours share, as in C(t)
    root = np.linalg.cholesky(0.9 ** np.abs(np.subtract.outer(range(5), range(5))))
    found = []
    for _ in range(100):
        chains = [true.numpy() + 0.05 * numbers.normal(size=(100, 5)) @ root.T for _ in range(3)]
        found.append(chain_estimate(fit(8), chains, "C")[1])
    scatter = np.std([f.value for f in found])
    assert np.mean([f.error for f in found]) == pytest.approx(scatter, rel=0.28)
    assert np.mean([f.value for f in found]) == pytest.approx(0.7, abs=4 * scatter / 100**0.5)
