"""Pareto k against samples whose k is known."""

import math

import numpy as np
import pytest

from flowlat.analysis.pareto import generalised_pareto_shape, pareto_k


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.7, 1.5])
def test_the_shape_of_exact_pareto_samples(k):
    """(u^-k - 1) / k of uniform u has shape k, and the estimator, unbiased for large n, the error
    (1 + k) / sqrt(n) of the maximum likelihood: 200 of n = 1000, mean within five sigma and 0.01
    (the bias, of order 1/n, and the pull towards 1/2), spread within 30 % (six sigma)."""
    rng, n, tries = np.random.default_rng(), 1000, 200
    samples = np.sort((rng.uniform(size=(tries, n)) ** -k - 1) / k)
    found = np.array([generalised_pareto_shape(sample) for sample in samples])
    expected = (n * k + 5) / (n + 10)
    error = max(1 + k, 0.7) / math.sqrt(n)
    assert abs(found.mean() - expected) < 5 * error / math.sqrt(tries) + 0.01
    assert found.std() == pytest.approx(error, rel=0.3)


def test_the_scale_does_not_matter():
    x = np.sort(np.random.default_rng(1).pareto(2.0, size=300))
    assert generalised_pareto_shape(1e6 * x) == pytest.approx(generalised_pareto_shape(x))


@pytest.mark.parametrize(("k", "above"), [(0.4, False), (1.0, True)])
def test_heavy_tails_of_weights(k, above):
    """Weights u^-k: the tail has 950 of 100,000, k an error of 0.07 at most; p = 1e-5."""
    log_weight = -k * np.log(np.random.default_rng().uniform(size=100_000)) - 1e4
    assert (pareto_k(log_weight) > 0.7) == above


def test_a_good_flow_has_a_light_tail():
    """Lognormal weights of ESS 0.9: k is near 0, with an error of 0.07 at most."""
    assert pareto_k(np.random.default_rng().normal(size=8192) * 0.32) < 0.4


def test_weights_without_a_tail():
    for log_weight in (np.zeros(100), np.full(100, -np.inf), np.linspace(0, 5, 20)):
        assert math.isnan(pareto_k(log_weight))
    weighted = np.full(100, -1e4)
    weighted[7] = 0.0
    assert pareto_k(weighted) == math.inf


@pytest.mark.parametrize("width", [30, 100, 300, 400])
def test_tails_beyond_all_bounds(width):
    """Weights of log w = ``width`` x: most of them are zero beside the largest."""
    rng = np.random.default_rng(2)
    assert all(pareto_k(width * rng.normal(size=1000)) > 0.7 for _ in range(40))
