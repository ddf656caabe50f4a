import math

import pytest
import torch

from flowlat.analysis.importance import ess, log_mean, log_z


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


def test_ess_and_mean_by_hand():
    w = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    # a constant that the weights have in common, as large as a lattice makes it
    assert ess(w.log() - 1e4) == pytest.approx(36 / (3 * 14))
    assert log_mean(w.log() - 1e4).item() == pytest.approx(math.log(2) - 1e4)
