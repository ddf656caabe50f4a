import math

import pytest
import torch

from flowlat.training.metrics import acceptance, quality


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
