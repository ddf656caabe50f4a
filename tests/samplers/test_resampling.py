import math

import pytest
import torch

from flowlat.samplers.resampling import effective_fraction, log_mean, systematic


def test_every_particle_is_taken_its_share_of_times():
    """floor or ceil of n w / sum w, and that on average (five sigma, p = 6e-7 a particle)."""
    log_w = 2 * torch.randn(50, dtype=torch.float64)
    share = 50 * torch.softmax(log_w, 0)
    counts = torch.stack(
        [
            torch.bincount(systematic(log_w, torch.Generator().manual_seed(i)), minlength=50)
            for i in range(2000)
        ]
    ).double()
    assert ((counts - share).abs() < 1).all()
    assert (counts.sum(1) == 50).all()
    error = counts.std(0) / 2000**0.5
    assert ((counts.mean(0) - share).abs() <= 5 * error + 1e-2).all()


def test_a_particle_of_no_weight_dies():
    log_w = torch.tensor([0.0, -torch.inf, 0.0, -torch.inf], dtype=torch.float64)
    for seed in range(20):
        assert systematic(log_w, torch.Generator().manual_seed(seed)).tolist() == [0, 0, 2, 2]


def test_effective_fraction_and_mean_by_hand():
    w = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    # a constant that the weights have in common, as large as a lattice makes it
    assert effective_fraction(w.log() - 1e4) == pytest.approx(36 / (3 * 14))
    assert log_mean(w.log() - 1e4) == pytest.approx(math.log(2) - 1e4)
