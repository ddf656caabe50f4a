"""What a trajectory length costs, from what its trajectories were like."""

import math

import pytest
import torch

from flowlat.samplers.dynamics.tuning import OVERHEAD, adapted, costs, slow_observables, trial


def chains(rho, steps=400, batch=64, seed=1):
    """Two observables (steps, 2, batch), the second ten times as large, both of rho(t) = rho^t."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(steps, 2, batch, generator=generator, dtype=torch.float64)
    x = [noise[0]]
    for fresh in noise[1:]:
        x.append(rho * x[-1] + math.sqrt(1 - rho**2) * fresh)
    return torch.stack(x) * torch.tensor([1.0, 10.0]).reshape(2, 1)


def test_the_cost_is_forces_times_tau():
    """tau_int = (1 + rho) / (2 (1 - rho)); 25,600 values a trial, so 10 % is far beyond noise."""
    trials = [trial(1.0, 4.0, chains(0.8)), trial(2.0, 16.0, chains(0.2, seed=2))]
    expected = [(4 + OVERHEAD) * 4.5, (16 + OVERHEAD) * 0.75]
    assert costs(trials) == pytest.approx(expected, rel=0.1)


def test_the_slower_observable_counts():
    fast, slow = chains(0.0), chains(0.8)
    mixed = torch.stack([fast[:, 0], slow[:, 1]], 1)
    assert costs([trial(1.0, 2.0, mixed)]) == pytest.approx([(2 + OVERHEAD) * 4.5], rel=0.1)


def test_anticorrelated_is_no_better_than_white():
    assert costs([trial(1.0, 2.0, chains(-0.9))]) == [(2 + OVERHEAD) * 0.5]


def test_a_chain_that_stands_still_costs_most():
    stuck = torch.ones(50, 2, 8, dtype=torch.float64)
    both = [trial(1.0, 2.0, stuck), trial(2.0, 9.0, chains(0.8))]
    assert costs(both)[0] > 1e6 * costs(both)[1]


def test_the_observables():
    phi = torch.tensor([[[1.0, -3.0]], [[2.0, 2.0]]])
    assert slow_observables(phi).tolist() == [[1.0, 4.0], [5.0, 4.0]]


def test_a_step_towards_the_target():
    assert adapted(0.1, 0.9, 0.8) > 0.1 > adapted(0.1, 0.7, 0.8)
