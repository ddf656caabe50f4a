import math

import pytest
import torch

from flowlat.analysis.importance import acceptance, ess, log_z, quality
from flowlat.training.metrics import LogWeights


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


def test_acceptance_leaves_the_start_of_the_chain_out():
    assert acceptance(torch.tensor([True, False, True, True])) == pytest.approx(2 / 3)
    assert math.isnan(acceptance(torch.tensor([True])))


def test_acceptance_of_lognormal_weights():
    """erfc(s / 2) for log w of variance s^2: in equilibrium log w' - log w is N(-s^2, 2 s^2).

    Within five sigma (p = 6e-7), with sigma twice the binomial one: the decisions correlate.
    """
    n, s = 200_000, 0.8
    log_w = s * torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = quality(log_w, torch.Generator().manual_seed(2)).acceptance
    expected = math.erfc(s / 2)
    assert abs(found - expected) < 5 * 2 * math.sqrt(expected * (1 - expected) / n)


def test_quality_refuses_weights_that_mean_nothing():
    with pytest.raises(ValueError, match=r"NaN or \+inf"):
        quality(torch.tensor([0.0, math.nan]))


def test_log_weights_metric_gathers_everything():
    metric = LogWeights()
    for part in torch.arange(10.0).split(3):
        metric.update(part)
    assert torch.equal(metric.compute(), torch.arange(10.0, dtype=torch.float64))
