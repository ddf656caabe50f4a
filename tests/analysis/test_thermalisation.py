import math

import numpy as np
import pytest

from flowlat.analysis.thermalisation import drift


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
    chains = autoregressive(np.random.default_rng(), 5.0, replicas=32, steps=200)
    assert drift(chains) > 8
    assert drift(-chains) < -8
    assert drift(list(chains)) == drift(chains)


def test_where_there_is_nothing_to_compare():
    assert math.isnan(drift(np.random.default_rng().normal(size=(3, 100))))
    assert math.isnan(drift([np.arange(9.0)] * 5))
    assert math.isnan(drift([np.ones(100)] * 5))
