import logging
import math

import numpy as np
import pyerrors
import pytest
from scipy import signal, stats

from flowlat.analysis.gamma_method import (
    autocovariance,
    estimate,
    gamma_method,
    gamma_methods,
    replicas,
)

P_VALUE = 1e-5


def autoregressive(rng, a, *shape):
    """x_i = a x_{i-1} + noise along the last axis, started in equilibrium; variance 1/(1-a^2)."""
    noise = rng.normal(size=shape)
    noise[..., 0] /= math.sqrt(1 - a * a)
    return signal.lfilter([1.0], [1.0, -a], noise, axis=-1)


def true_tau(a):
    return (1 + a) / (2 * (1 - a))


def true_error(a, n):
    """sigma^2 = 2 tau var / n."""
    return math.sqrt(2 * true_tau(a) / n / (1 - a * a))


@pytest.mark.parametrize("n_replicas", [1, 8, 64])
@pytest.mark.parametrize("a", [0.0, 0.5, 0.8])
def test_known_autocorrelations(a, n_replicas):
    """tau_int = (1 + a) / (2 (1 - a)), 0.5 for white noise; N = 102,400 in all.

    Wolff's error of tau_int is 2 tau sqrt((W + 1/2 - tau) / N), W < 60 here, so that 10 % is four
    sigma of it and 20 sigma of the error's own; with the mean at four sigma, p = 1e-3 over all.
    """
    n = 102_400
    rng = np.random.default_rng([1, n_replicas, round(10 * a)])
    chains = 3 + autoregressive(rng, a, n_replicas, n // n_replicas)
    found = gamma_method(list(chains), "x")
    assert found.tau_int == pytest.approx(true_tau(a), rel=0.1)
    assert found.error == pytest.approx(true_error(a, n), rel=0.1)
    assert abs(found.tau_int - true_tau(a)) < 4 * found.tau_int_error + 0.01
    assert abs(found.value - 3) < 4 * found.error


@pytest.mark.parametrize("n_replicas", [1, 8, 64])
@pytest.mark.parametrize("a", [-0.3, -0.8, -0.95])
def test_anticorrelated_chains(a, n_replicas):
    """tau_int below 0.5, 0.056 at a = -0.8, where pyerrors says 0.5 and an error three times as
    large. N = 204,800; the window is below 80 at -0.8 and 300 at -0.95, so that 4 sigma of tau_int,
    which bound p by 1e-4 a case, are below 8 and 16 %."""
    n = 204_800
    rng = np.random.default_rng([9, n_replicas, round(-100 * a)])
    chains = list(3 + autoregressive(rng, a, n_replicas, n // n_replicas))
    found = gamma_method(chains, "x")
    assert found.tau_int == pytest.approx(true_tau(a), rel=0.08 if a > -0.9 else 0.16)
    assert abs(found.tau_int - true_tau(a)) < 4 * found.tau_int_error
    assert found.error == pytest.approx(true_error(a, n), rel=0.08)
    oracle = replicas(chains)
    oracle.gamma_method()
    assert oracle.dvalue > found.error * (1.2 if a > -0.5 else 2.9)


def test_a_chain_that_alternates_has_an_error():
    """x_i = (-1)^i: the mean of n is known to about 1 / n, and 0 would be no error."""
    found = gamma_method([np.tile([1.0, -1.0], 500)], "x")
    assert 1e-3 <= found.error < 0.03
    assert 0 < found.tau_int < 0.5


@pytest.mark.parametrize("lengths", [[400], [997], [200, 200], [101, 100, 100], [5, 60]], ids=str)
def test_pyerrors_gives_the_same(lengths):
    rng = np.random.default_rng(2)
    chains = [2 + autoregressive(rng, 0.7, n) for n in lengths]
    found, oracle = gamma_method(chains, "x"), replicas(chains)
    oracle.gamma_method()
    expected = [oracle.value, oracle.dvalue, *oracle.e_tauint.values()]
    assert list(found[:3]) == pytest.approx(expected, rel=1e-9)
    gamma, rows = autocovariance([chain[:, None] for chain in chains])[0], sum(lengths)
    assert estimate(0.0, gamma, rows).tau_int_error == pytest.approx(
        next(iter(oracle.e_dtauint.values())), rel=1e-9
    )
    if len(chains) == 1:
        textbook = pyerrors.Obs(chains, ["ensemble"])
        textbook.gamma_method()
        assert found.error == pytest.approx(textbook.dvalue, rel=1e-9)


def test_the_autocovariance_by_loops():
    rng = np.random.default_rng(3)
    chains = [rng.normal(size=(n, 2)) for n in (11, 7, 12)]
    mean = np.concatenate(chains).mean(0)
    found = autocovariance(chains)
    assert found.shape == (2, 6)
    for t in range(6):
        products = [(c[s] - mean) * (c[s + t] - mean) for c in chains for s in range(len(c) - t)]
        assert found[:, t] == pytest.approx(np.mean(products, 0), abs=1e-12)


def test_columns_are_chains():
    rng = np.random.default_rng(4)
    chains = [autoregressive(rng, a, 3, 200).T for a in (0.3, 0.6)]
    columns = gamma_methods(chains, "x")
    alone = [gamma_method([chain[:, c] for chain in chains], "x") for c in range(3)]
    assert [list(c) for c in columns] == [pytest.approx(list(one)) for one in alone]


@pytest.mark.parametrize(
    ("n_replicas", "steps", "a"),
    [
        (1, 4000, 0.8),
        (8, 500, 0.8),
        (64, 60, 0.7),
        (1, 20_000, -0.8),
        (8, 2500, -0.8),
        (64, 300, -0.8),
        (8, 500, 0.0),
    ],
)
def test_the_errors_cover(n_replicas, steps, a):
    """Pulls of 400 ensembles: sum of squares chi^2 distributed, two-sided p > 1e-5.

    The error of the error, up to 10 %, widens the pulls by up to 3 %, under half a sigma of the
    test; those of anticorrelated chains, whose window is long for tau_int, get longer chains. Where
    64 replicas have 21 tau_int each, errors from deviations of each replica from its own mean,
    which is what pyerrors takes, fall short by more than 15 %; at a = -0.8 they are three times too
    large.
    """
    rng = np.random.default_rng([5, n_replicas])
    ensembles = autoregressive(rng, a, 400, n_replicas, steps)
    found = [gamma_method(list(ensemble), "x") for ensemble in ensembles]
    chi2 = sum((f.value / f.error) ** 2 for f in found)
    assert P_VALUE < stats.chi2.sf(chi2, len(found)) < 1 - P_VALUE
    few = range(400 if a > 0 else 20)
    ratio = np.mean([replica_means_removed(ensembles[i]) / found[i].error for i in few])
    if a < 0:
        assert ratio > 2.5
    elif a > 0:
        assert ratio < (0.85 if n_replicas == 64 else 1.001)


def replica_means_removed(ensemble):
    names = [f"e|r{r}" for r in range(len(ensemble))]
    oracle = pyerrors.Obs(list(ensemble), names)
    oracle.gamma_method()
    return oracle.dvalue


def test_replicas_in_different_modes(caplog):
    """Nothing moves between the modes, so the error is that of 16 numbers +-1: 1/4."""
    signs = np.repeat([1.0, -1.0], 8)
    noise = np.random.default_rng(6).normal(scale=0.01, size=(16, 200))
    found = gamma_method(list(signs[:, None] + noise), "magnetization")
    assert found.error == pytest.approx(1 / 4, rel=0.1)
    assert "magnetization: 3200 steps in 16 replicas are few for tau_int" in caplog.text


def test_it_knows_when_it_knows_nothing(caplog):
    rng = np.random.default_rng(7)
    moving = [rng.normal(size=100) for _ in range(3)]
    with caplog.at_level(logging.WARNING):
        nothing = {
            "stuck": gamma_method([np.ones(1000)], "stuck"),
            "zero": gamma_method([np.zeros(1000)], "zero"),
            "replica": gamma_method([*moving, np.full(100, 0.1)], "replica"),
            "rounding": gamma_method([7 + 1e-16 * rng.normal(size=100)], "rounding"),
            "short": gamma_method([np.arange(10.0)], "short"),
            "stubs": gamma_method([np.arange(4.0)] * 20, "stubs"),
        }
    for name, found in nothing.items():
        assert math.isfinite(found.value)
        assert math.isnan(found.error)
        assert math.isnan(found.tau_int)
        assert math.isnan(found.tau_int_error)
        assert caplog.text.count(f" {name}: ") == 1
    assert (nothing["stuck"].value, nothing["short"].value) == (1.0, 4.5)
    assert "stuck: the chain never moved" in caplog.text
    assert "replica: replica 3 of 4 never moved" in caplog.text
    assert "short: 10 measurements are too few" in caplog.text


def test_one_warning_for_a_vector(caplog):
    rng = np.random.default_rng(8)
    slow = autoregressive(rng, 0.99, 5, 300).T
    gamma_methods([slow], "two_point")
    assert caplog.text.count("two_point") == 1
    constant = gamma_methods([np.column_stack([np.ones(300), rng.normal(size=300)])], "pair")
    assert math.isnan(constant[0].error)
    assert constant[1].error == pytest.approx(300**-0.5, rel=0.3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_chain_with_nan_is_refused(bad):
    with pytest.raises(ValueError, match="phi2: the chain holds NaN"):
        gamma_method([np.ones(3), np.array([1.0, bad] * 100)], "phi2")
