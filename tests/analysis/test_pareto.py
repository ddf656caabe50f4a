"""Pareto k against samples whose k is known."""

import math

import numpy as np
import pytest

from flowlat.analysis.pareto import generalised_pareto_shape, pareto_k, pareto_k_of


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


def gaussian_weights(narrow, n, generator):
    """x of a Gaussian of variance ``narrow``, log weights of one of variance 1, ``(n,)``."""
    x = math.sqrt(narrow) * generator.normal(size=n)
    return x, x**2 / 2 * (1 / narrow - 1)


def test_what_is_averaged_has_a_tail_of_its_own():
    """Of x of variance 1/3 under weights of variance 1, w ~ exp(x^2), k = 2/3 in the limit; that of
    w x^2 is the same, but for logarithms, which are felt: of 20 runs it was larger by 0.18 to 0.22
    each time."""
    rng = np.random.default_rng()
    x, log_w = gaussian_weights(1 / 3, 100_000, rng)
    k = pareto_k(log_w)
    assert 0.4 < k < 0.85
    assert pareto_k_of(x**2, log_w) > k + 0.05
    assert pareto_k_of(np.column_stack([np.sign(x), x**2]), log_w) == pareto_k_of(x**2, log_w)
    assert math.isnan(pareto_k_of(np.ones(100), np.zeros(100)))
