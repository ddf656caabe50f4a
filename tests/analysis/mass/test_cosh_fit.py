"""The cosh fit: exact on a cosh, the minimum that scipy finds, and the gradient of it."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize

from flowlat.analysis import exact
from flowlat.analysis.estimates import evaluate, gradient
from flowlat.analysis.mass.cosh_fit import CoshFit
from flowlat.analysis.mass.plateau import Plateau
from flowlat.lattice import Lattice
from tests.support.decay import Given, cosh


def weight(size, rng):
    """Of neighbours that go together, with errors of 1 to 2 per cent of C(0)."""
    errors = 0.01 * (1 + rng.random(size))
    correlation = 0.9 ** np.abs(np.subtract.outer(range(size), range(size)))
    return torch.from_numpy(np.linalg.inv(correlation * np.outer(errors, errors)))


def fits(period, windows, seed=0):
    rng = np.random.default_rng(seed)
    weights = [weight(b - a + 1, rng) for a, b in windows]
    return CoshFit(Given(), windows, weights, period)


@pytest.mark.parametrize("period", [4, 7, 20, 64])
@pytest.mark.parametrize("mass", [0.05, 0.7, 3.0])
def test_a_cosh_is_found_in_every_window(mass, period):
    c, half = cosh(mass, period), period // 2
    windows = [(0, half), (1, half), (0, 1), (half - 1, half)]
    fit = fits(period, windows)
    assert evaluate(fit, c).tolist() == pytest.approx([mass] * 4)
    found, c = torch.full((4,), mass).double(), torch.from_numpy(c)
    assert fit.amplitude(found, c).tolist() == pytest.approx([c[a].item() for a, _ in windows])
    assert fit.chi2(found, c).tolist() == pytest.approx([0] * 4, abs=1e-9)
    assert Plateau(Given(), period).derive(c).tolist() == pytest.approx([mass] * half)


@pytest.mark.parametrize(("shape", "m2"), [((16,), 0.3), ((6, 9), 1.0), ((4, 4, 12), 2.0)])
def test_the_free_theory_has_its_exact_mass(shape, m2):
    """m = 2 asinh(sqrt(m2) / 2), from the exact propagator."""
    two_point, half = exact.free(m2, Lattice(shape))["two_point"], shape[-1] // 2
    windows = [(first, half) for first in range(half - 1)]
    mass = 2 * math.asinh(math.sqrt(m2) / 2)
    assert evaluate(fits(shape[-1], windows), two_point).tolist() == pytest.approx(
        [mass] * len(windows)
    )


def noisy(period, seed):
    return cosh(0.7, period) * (1 + 0.05 * np.random.default_rng(seed).normal(size=period // 2 + 1))


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_is_that_of_scipy(seed):
    """scipy fits amplitude and mass with residuals that the Cholesky factor makes independent."""
    c, windows = noisy(12, seed), [(0, 6), (1, 6), (1, 4)]
    fit = fits(12, windows, seed)
    masses = evaluate(fit, c)
    chi2 = fit.chi2(torch.from_numpy(masses), torch.from_numpy(c))
    amplitudes = fit.amplitude(torch.from_numpy(masses), torch.from_numpy(c))
    for number, (a, b) in enumerate(windows):
        root = np.linalg.cholesky(fit.weight[number, a : b + 1, a : b + 1].numpy())
        t = np.arange(a, b + 1)

        def residuals(p, a=a, b=b, root=root, t=t):
            model = p[0] * np.cosh(p[1] * (6 - t)) / np.cosh(p[1] * (6 - a))
            return root.T @ (c[a : b + 1] - model)

        oracle = optimize.least_squares(residuals, [c[a], 0.7], xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert masses[number] == pytest.approx(oracle.x[1], rel=1e-6)
        assert amplitudes[number].item() == pytest.approx(oracle.x[0], rel=1e-6)
        assert chi2[number].item() == pytest.approx(2 * oracle.cost, rel=1e-8)


def test_the_gradient_is_that_of_the_minimum():
    c, fit = noisy(12, 1), fits(12, [(1, 6), (0, 4)])
    found = gradient(fit, c)
    for t in range(7):
        step = 1e-6 * (np.arange(7) == t)
        slope = (evaluate(fit, c + step) - evaluate(fit, c - step)) / 2e-6
        assert found[:, t].tolist() == pytest.approx(slope.tolist(), abs=1e-5)


@pytest.mark.parametrize("c", [-cosh(1.0, 8), np.ones(5), np.arange(1.0, 6)])
def test_what_does_not_decay_has_no_mass(c):
    """And what has one beside it keeps it, with its gradient."""
    assert np.isnan(evaluate(fits(8, [(0, 4)]), c)).all()
    both = np.where(np.arange(5) < 2, c, cosh(1.0, 8))
    fit = fits(8, [(0, 1), (2, 4)])
    assert np.isnan(evaluate(fit, both)[0])
    assert evaluate(fit, both)[1] == pytest.approx(1.0)
    assert np.isfinite(gradient(fit, both)[1]).all()
