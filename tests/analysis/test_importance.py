import math

import numpy as np
import pytest
import torch

from flowlat.analysis.importance import (
    ess,
    ess_of_populations,
    log_mean,
    log_z,
    log_z_estimate,
)


def test_ess_and_log_z_are_their_definitions():
    log_w = torch.randn(500, dtype=torch.float64)
    w = log_w.exp()
    assert ess(log_w) == pytest.approx((w.sum() ** 2 / (500 * (w**2).sum())).item())
    value, error = log_z(log_w)
    assert value == pytest.approx(w.mean().log().item())
    expected = (w.std(correction=1) / w.mean() / math.sqrt(500)).item()
    assert error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shift", [1e4, -1e4])
def test_a_constant_in_the_weights_changes_only_log_z(shift):
    log_w = torch.randn(100, dtype=torch.float64)
    assert ess(log_w + shift) == pytest.approx(ess(log_w))
    assert log_z(log_w + shift)[0] == pytest.approx(log_z(log_w)[0] + shift, rel=1e-13)


def test_bounds_of_the_ess():
    assert ess(torch.full((100,), -1e4)) == pytest.approx(1)
    assert ess(torch.tensor([1e4, *[0.0] * 99])) == pytest.approx(0.01)


def test_single_precision_weights_are_summed_in_double():
    log_w = 1000 + torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert ess(log_w) == pytest.approx(ess(log_w.double()), rel=1e-14)


def test_log_z_of_one_sample_has_no_error():
    value, error = log_z(torch.tensor([2.5]))
    assert value == 2.5
    assert math.isnan(error)


def test_weights_worth_one_sample_have_no_error():
    log_w = np.array([50.0, *[0.0] * 99])
    assert math.isnan(log_z(torch.tensor(log_w))[1])
    assert math.isnan(log_z_estimate(log_w, 1).error)
    assert log_z_estimate(log_w, 1).value == pytest.approx(50 - math.log(100))
    two = np.array([50.0, 50.0, *[0.0] * 98])
    assert log_z_estimate(two, 1).error > 0
    assert math.isnan(log_z_estimate(two, 2).error)  # of one population


def test_ess_and_mean_by_hand():
    w = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    # a constant that the weights have in common, as large as a lattice makes it
    assert ess(w.log() - 1e4) == pytest.approx(36 / (3 * 14))
    assert log_mean(w.log() - 1e4).item() == pytest.approx(math.log(2) - 1e4)


def test_ess_of_independent_rows_from_their_populations():
    """exp(-s^2) of lognormal weights; the variance of 1,000 means of 20 is known to a relative
    sqrt(2 / 999), twice that with their tails: five sigma, p = 6e-7."""
    log_w = 0.8 * torch.randn(20_000, dtype=torch.float64)
    relative_variance = 1 / ess_of_populations(log_w, 20) - 1
    exact = math.exp(0.8**2) - 1
    assert relative_variance == pytest.approx(exact, rel=5 * 2 * math.sqrt(2 / 999))


def test_ess_of_rows_that_have_a_factor_in_common():
    """What populations of 50 have in common, of log variance s^2, counts 50 times; as above."""
    s = 0.1
    common = s * torch.randn(2000, 1, dtype=torch.float64)
    log_w = (common + torch.zeros(50, dtype=torch.float64)).flatten()
    assert ess(log_w) > 0.98
    found = 1 / ess_of_populations(log_w, 50) - 1
    assert found == pytest.approx(50 * math.expm1(s**2), rel=5 * math.sqrt(2 / 1999) * 1.2)


def test_ess_of_one_population_is_unknown():
    assert math.isnan(ess_of_populations(torch.randn(30), 30))


def test_a_heavy_tail_leaves_log_z_without_an_error():
    """By its Pareto k, which the caller has; the value stays as it is."""
    log_w = torch.linspace(-1, 1, 100, dtype=torch.float64)
    (value, error), light, heavy = log_z(log_w), log_z(log_w, 0.7), log_z(log_w, 0.71)
    assert light == (value, error)
    assert heavy[0] == value
    assert math.isnan(heavy[1])
    found = log_z_estimate(log_w.numpy(), 1, 0.71)
    assert found.value == log_z_estimate(log_w.numpy(), 1, math.nan).value
    assert math.isnan(found.error)
    assert math.isnan(found.bias)
