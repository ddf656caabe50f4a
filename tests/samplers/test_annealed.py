"""Annealing against log Z and <phi^2> that are known exactly."""

import math

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.actions import Free, Phi4
from flowlat.analysis.importance import ess, ess_of_populations, log_z
from flowlat.lattice import Lattice
from flowlat.samplers import Annealed
from flowlat.samplers.annealed import systematic
from tests.samplers.chains import reproducible_step
from tests.support.helpers import DIMENSIONS, SHAPES, moved_flow, overrides
from tests.support.transfer_matrix import chain


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def populations(sampler, n, seed=1):
    """n blocks: (log weights ``(n, population)``, phi, the last state)."""
    state = sampler.start(seeded(seed))
    log_w, phi = [], []
    for number in range(n):
        state, block = sampler.step(state, seeded(1000 * seed + number))
        log_w.append(block.log_weight)
        phi.append(block.phi)
    return torch.stack(log_w), torch.stack(phi), state


def assert_log_z(log_w, exact, most):
    """log Z of the mean weights of the populations, within five sigma (p = 6e-7)."""
    value, error = log_z(torch.logsumexp(log_w, 1) - math.log(log_w.shape[1]))
    assert error < most
    assert abs(value - exact) < 5 * error


@pytest.mark.parametrize("shape", [*SHAPES.values(), [3, 5]])
def test_the_free_theory_is_its_own_start(shape):
    """Nothing to anneal: weights that are all Z, however few the steps."""
    action = Free(0.7)
    log_w, _, _ = populations(Annealed(Lattice(shape), action, n_steps=3, population=20), 1)
    torch.testing.assert_close(
        log_w, torch.full_like(log_w, action.log_z(Lattice(shape))), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("d", DIMENSIONS)
def test_from_a_poor_flow_to_the_free_theory(d):
    """A stochastic flow: its ESS is bought up by annealing, and log Z is exact."""
    flow, action = moved_flow(*overrides(d, "arch=combconv_k1", "prior=free_field")), Free(0.7)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(0.25)
    phi, log_q = flow.sample(1000, seeded(1))
    sampler = Annealed(flow.lattice, action, flow, population=100, n_steps=40)
    log_w, _, _ = populations(sampler, 1)
    assert 1 - ess(log_w.flatten()) < 0.7 * (1 - ess(-action(phi) - log_q))
    assert_log_z(log_w.reshape(-1, 1), action.log_z(flow.lattice), 0.2)


@pytest.mark.parametrize("integrator", ["leapfrog", "minimum_norm"])
@pytest.mark.parametrize("resample_below", [None, 1.0])
@pytest.mark.parametrize(("m2", "lam"), [(1.0, 0.5), (-1.0, 1.5)])
def test_the_chain_of_the_transfer_matrix(m2, lam, resample_below, integrator):
    """log Z, and <phi^2> reweighted: each population's ratio of means has errors of its own."""
    sampler = Annealed(
        Lattice([6]),
        Phi4(m2, lam),
        population=50,
        n_steps=8,
        n_leapfrog=3,
        integrator=integrator,
        resample_below=resample_below,
    )
    log_w, phi, state = populations(sampler, 40)
    exact_log_z, exact_phi2 = chain(m2, lam, length=6)
    assert_log_z(log_w, exact_log_z, 0.05)
    # linearised: <w (phi^2 - exact)> = 0
    w = (log_w - exact_log_z).exp()
    excess = (w * ((phi**2).mean(2) - exact_phi2)).mean(1)
    error = excess.std() / 40**0.5
    assert error < 0.02
    assert abs(excess.mean()) < 5 * error
    assert sampler.info(state)["acceptance"] == pytest.approx(0.85, abs=0.1)


@pytest.mark.parametrize("resample_below", [None, 1.0])
def test_the_mean_weight_is_unbiased(resample_below):
    """E[mean w] = Z for small populations and paths of two steps, within five sigma (p = 6e-7).

    A mean of log w in place of the logarithm of the mean w would be off by 0.1.
    """
    exact, _ = chain(-1.0, 1.5, length=6)
    sampler = Annealed(
        Lattice([6]), Phi4(-1.0, 1.5), population=10, n_steps=2, resample_below=resample_below
    )
    log_w, _, state = populations(sampler, 500)
    means = (log_w - exact).exp().mean(1)
    error = means.std().item() / 500**0.5
    assert 0.002 < error < 0.01
    assert abs(means.mean().item() - 1) < 5 * error
    assert (sampler.info(state)["resamplings"] > 1) == (resample_below is not None)


def test_resampling_waits_for_its_threshold():
    options = {"population": 50, "n_steps": 30, "resample_below": 0.7}
    sampler = Annealed(Lattice([8, 8]), Phi4(-4.0, 8.0), **options)
    _, _, state = populations(sampler, 3)
    assert 0 < sampler.info(state)["resamplings"] < 10


def test_what_resampling_costs():
    """The error of log Z that the ESS of 250 populations implies is that of 250 others, from the
    exact Z; the weights of the particles alone, all equal in a population, imply none.

    Either relative variance is known to 1.3 sqrt(2 / 250), with its tails: a factor of two is 4.2
    sigma of their ratio (p = 3e-5).
    """
    exact, _ = chain(-1.0, 1.5, length=6)
    options = {"population": 20, "n_steps": 2, "resample_below": 1.0}
    log_w, _, _ = populations(Annealed(Lattice([6]), Phi4(-1.0, 1.5), **options), 500)
    implied = (1 / ess_of_populations(log_w[:250].flatten(), 20) - 1) / 20
    spread = (((log_w[250:] - exact).exp().mean(1) - 1) ** 2).mean().item()
    assert 0.5 < implied / spread < 2
    assert max(1 / ess(row) - 1 for row in log_w) < 1e-9


def test_both_modes_are_there():
    """Of an ordered chain: the sign is a fair coin, and log Z lacks no log 2 (five sigma)."""
    log_w, phi, _ = populations(Annealed(Lattice([6]), Phi4(-8.0, 2.0), n_steps=500), 2)
    signs = phi.mean(2).sign()
    assert signs.mean().abs() < 5 / signs.numel() ** 0.5
    value, error = log_z(log_w.flatten())
    assert error < 0.02
    assert abs(value - chain(-8.0, 2.0, length=6)[0]) < 5 * error


def test_the_tutorial_point_and_the_ordered_one():
    """log Z = 9.2902(23) and, in d = 4, 9.649(7) of both modes; ESS that grows with the steps."""
    points = [([8, 8], 8.0, 9.2902, 0.0023), ([4, 4, 4, 4], 5.113, 9.649, 0.007)]
    for shape, lam, expected, its_error in points:
        sampler = Annealed(Lattice(shape), Phi4(-4.0, lam), population=64, n_steps=150)
        log_w, _, _ = populations(sampler, 2)
        value, error = log_z(log_w.flatten())
        assert ess(log_w.flatten()) > 0.75
        assert abs(value - expected) < 5 * math.hypot(error, its_error)


def test_a_block_is_a_function_of_state_and_generator():
    sampler = Annealed(Lattice([4, 4]), Phi4(-4.0, 8.0), population=16, n_steps=10)
    state, first, one, two = reproducible_step(sampler)
    assert torch.equal(one.log_weight, two.log_weight)
    assert len(one.phi) == sampler.rows == 16
    assert one.accepted is None
    torch.testing.assert_close(one.action, Phi4(-4.0, 8.0)(one.phi))
    # the schedule of step sizes is a constant of the run
    assert torch.equal(first.step_size, state.step_size)


def test_the_flow_is_left_alone():
    """A float32 flow with gradients stays one; the population is in float64."""
    flow = build_flow(compose(overrides(2, "arch=combconv_k1", "arch.n_couplings=2"))).train()
    sampler = Annealed(flow.lattice, Phi4(1.0, 0.5), flow, population=8, n_steps=2)
    _, phi, _ = populations(sampler, 1)
    assert phi.dtype == torch.float64
    assert flow.training
    assert all(p.requires_grad and p.grad is None for p in flow.parameters())


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


def test_a_flow_is_calibrated_and_its_offset_taken_off_once():
    flow = moved_flow(*overrides(2, "arch=continuous")).float()
    options = {"population": 16, "n_steps": 3, "resample_below": 0.99}
    sampler = Annealed(flow.lattice, Phi4(1.0, 0.5), flow, **options)
    state = sampler.start(torch.Generator().manual_seed(1))
    assert state.steps > 1
    assert state.systematic > 0 != state.offset
    plain = state._replace(offset=torch.zeros((), dtype=torch.float64))
    blocks = [sampler.step(s, torch.Generator().manual_seed(2))[1] for s in (plain, state)]
    difference = blocks[0].log_weight - blocks[1].log_weight
    torch.testing.assert_close(difference, state.offset.expand(16))
    alone = Annealed(flow.lattice, Phi4(1.0, 0.5), **options)
    assert alone.start(torch.Generator().manual_seed(1))[-3:] == (0, 0, 0)
