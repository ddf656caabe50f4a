import logging
import math

import numpy as np
import pytest

from flowlat.statistics import gamma_method

N = 100_000


def autoregressive(a):
    """x_i = a x_{i-1} + noise, started in equilibrium."""
    noise = np.random.default_rng(1).normal(size=N)
    chain = np.empty(N)
    chain[0] = noise[0] / math.sqrt(1 - a * a)
    for i in range(1, N):
        chain[i] = a * chain[i - 1] + noise[i]
    return chain


@pytest.mark.parametrize("a", [0.0, 0.5, 0.8])
def test_known_autocorrelations(a):
    """tau_int = (1 + a) / (2 (1 - a)), 0.5 for white noise; sigma^2 = 2 tau var / N.

    The error of tau_int is about tau sqrt(4 (W + 1/2 - tau) / N), W < 60 here: 10 % is over
    five sigma of it. The mean is tested at six sigma, p = 2e-9.
    """
    found = gamma_method(3 + autoregressive(a), "x")
    tau = (1 + a) / (2 * (1 - a))
    assert found.tau_int == pytest.approx(tau, rel=0.1 if a else 0.05)
    assert found.error == pytest.approx(math.sqrt(2 * tau / N / (1 - a * a)), rel=0.1)
    assert abs(found.value - 3) < 6 * found.error


def test_it_knows_when_it_knows_nothing(caplog):
    with caplog.at_level(logging.WARNING):
        stuck, short = gamma_method(np.ones(1000), "stuck"), gamma_method(np.arange(10.0), "short")
    for estimate in (stuck, short):
        assert math.isnan(estimate.error)
        assert math.isnan(estimate.tau_int)
    assert (stuck.value, short.value) == (1.0, 4.5)
    assert "stuck: the chain never moved" in caplog.text
    assert "short: 10 measurements are too few" in caplog.text


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_chain_with_nan_is_refused(bad):
    with pytest.raises(ValueError, match="phi2: the chain holds NaN"):
        gamma_method(np.array([1.0, bad] * 100), "phi2")
