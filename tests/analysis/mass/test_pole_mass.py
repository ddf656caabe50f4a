"""The pole mass with its error, of simulated chains whose mass and covariance are known."""

import math

import numpy as np
import pytest
from scipy import stats

from flowlat.analysis import curvature
from flowlat.analysis.estimates import chain_estimate
from flowlat.analysis.mass.covariance import chain_blocks
from flowlat.analysis.mass.pole_mass import pole_mass
from tests.support.decay import Given, chain, cosh

MASS, PERIOD = 0.5, 16


def of_chains(chains, window=None, period=PERIOD):
    def estimate(observable):
        return chain_estimate(observable, chains, "C")

    known = np.array([entry[:2] for entry in estimate(Given())]).T
    return pole_mass(
        Given(), known, estimate, lambda: chain_blocks(Given(), chains), period, window
    )


@pytest.mark.parametrize("window", [None, [1, 4]])
def test_the_error_holds_the_mass(window, monkeypatch):
    """In 0.683 of 80 chains of 1,000 steps at tau_int = 2, between 0.475 and 0.89, four standard
    deviations; an average over windows may have more. The p-value is uniform, by Kolmogorov and
    Smirnov, with p > 1e-5. Without most of the displacements, which take the time: the curvature is
    next to nothing here."""
    monkeypatch.setattr(curvature, "PAIRS", 2)
    rng, c = np.random.default_rng(), cosh(MASS, 8)
    found = [of_chains([chain(rng, c, 2.0, 1000)], window, 8) for _ in range(80)]
    held = np.mean([abs(one.value - MASS) < one.error for one in found])
    assert held > 0.475
    if window:
        assert held < 0.89
        assert all(len(one.fits) == 1 for one in found)
        p_values = [one.best.p_value for one in found]
        assert stats.kstest(p_values, "uniform").pvalue > 1e-5
    else:
        assert all(len(one.fits) == 3 for one in found)


def test_an_excited_state_is_left_to_early_times():
    """A second state of thrice the mass is a bad fit from t = 0, and the average goes later."""
    rng = np.random.default_rng(3)
    c = cosh(MASS, PERIOD) + 0.5 * cosh(3 * MASS, PERIOD)
    chains = [chain(rng, c, 0.5, 20_000, spread=0.1)]
    whole, average = of_chains(chains, [0, 8]), of_chains(chains)
    assert whole.best.p_value < 1e-3
    assert whole.value > MASS + 10 * whole.error
    assert average.best.t_min > 0
    assert average.best.p_value > 1e-3
    assert abs(average.value - MASS) < 5 * average.error


def test_without_blocks_or_signal_there_is_none():
    rng, c = np.random.default_rng(4), cosh(MASS, PERIOD)
    few = of_chains([chain(rng, c, 0.5, 60) for _ in range(1)], [1, 8])
    assert math.isfinite(few.value)
    for nothing in (
        [chain(rng, 0 * c, 0.5, 1000) + 0.1 * rng.normal(size=(1000, 9))],
        [np.ones((1000, 9))],
        [chain(rng, c, 40.0, 60)],
    ):
        found = of_chains(nothing)
        assert math.isnan(found.value)
        assert math.isnan(found.error)
