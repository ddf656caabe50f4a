import math

import numpy as np
import pytest

from flowlat.analysis.thermalisation import drift, tau_int_range


def autoregressive(rng, start, replicas, steps, rho=0.9):
    """Chains of variance 1 and mean 0, from ``start`` on."""
    chains = np.empty((replicas, steps))
    chains[:, 0] = start
    noise = math.sqrt(1 - rho**2) * rng.normal(size=(replicas, steps))
    for t in range(1, steps):
        chains[:, t] = rho * chains[:, t - 1] + noise[:, t]
    return chains


@pytest.mark.parametrize("replicas", [4, 32])
def test_it_is_a_normal_deviate_in_equilibrium(replicas):
    """Of 2,000 runs: 4.6 % are beyond 2, of which this allows five sigma (p = 6e-7) and 1/400 for
    the approximation to Student's t; and 0.14 % beyond 3.2, at most 13 (p = 3e-6)."""
    rng = np.random.default_rng()
    starts = rng.normal(size=(2000, replicas))
    pulls = np.abs([drift(autoregressive(rng, start, replicas, 40)) for start in starts])
    beyond = (pulls > 2).mean()
    assert abs(beyond - 0.0455) < 5 * math.sqrt(0.0455 / 2000) + 0.0025
    assert (pulls > 3.2).sum() <= 13


def test_a_start_far_away_is_seen():
    """It is 8.5, with a standard deviation of 0.45 over such runs: 6 is five and a half of them off
    (p = 2e-8)."""
    chains = autoregressive(np.random.default_rng(), 5.0, replicas=32, steps=200)
    assert drift(chains) > 6
    assert drift(-chains) < -6
    assert drift(list(chains)) == drift(chains)


@pytest.mark.parametrize("replicas", [1, 3])
def test_few_chains_seldom_alarm_in_equilibrium(replicas):
    """Of 1,000 runs at most 3 beyond 4: p = 4e-6 at the 1e-4 that this allows each."""
    rng, n = np.random.default_rng(), 1000 * replicas
    chains = autoregressive(rng, rng.normal(size=n), n, 1000, rho=0.5)
    pulls = [drift(run) for run in chains.reshape(1000, replicas, 1000)]
    assert np.isfinite(pulls).all()
    assert (np.abs(pulls) > 4).sum() <= 3
    assert np.std(pulls) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("replicas", [1, 3])
def test_few_chains_that_start_far_away(replicas):
    """A start of 400 deviations that decays in five steps is 2000 / 100 in the mean of the first
    tenth, whose error is 0.3."""
    chains = autoregressive(np.random.default_rng(), 400.0, replicas, 1000, rho=0.8)
    assert drift(chains) > 4


@pytest.mark.parametrize("tau_int", [0.5, 5.0])
@pytest.mark.parametrize("thin", [1, 10])
def test_chains_that_thermalised_as_long_as_they_need(tau_int, thin):
    """tau_int is seldom said to be more than it is: of 200 runs, 2 at most."""
    rho = ((2 * tau_int - 1) / (2 * tau_int + 1)) ** thin
    rng, n = np.random.default_rng(), 200 * 16
    chains = autoregressive(rng, rng.normal(size=n), n, 100, rho).reshape(200, 16, 100)
    found, least = np.transpose([tau_int_range(list(run), thin) for run in chains])
    assert (least > tau_int * (1 + 1e-9)).sum() <= 2
    if thin == 1:
        assert np.mean(found) == pytest.approx(tau_int, rel=0.2)
        assert np.mean(least) > 0.4 * tau_int


def test_tau_int_that_means_nothing():
    for chains in ([np.ones(100)] * 5, [np.arange(4.0)] * 20, [np.arange(20.0)]):
        assert np.isnan(tau_int_range(chains, 1)).all()


def test_where_there_is_nothing_to_compare():
    assert math.isnan(drift(autoregressive(np.random.default_rng(), 0.0, 3, 200, rho=0.9)))
    assert math.isnan(drift([np.arange(9.0)] * 5))
    assert math.isnan(drift([np.ones(100)] * 5))
