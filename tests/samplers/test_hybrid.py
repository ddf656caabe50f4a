"""The hybrid is exact whatever the flow, and does not stick where the flow alone does."""

from functools import partial

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.samplers import HMC, Hybrid, Metropolis, longest_rejection_run
from tests.samplers.chains import prior_only
from tests.support.helpers import moved_flow, overrides
from tests.support.transfer_matrix import chain

ACTION = Phi4(-1.0, 1.5)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def few_steps(**options):
    """HMC so poor that the flow's part in the chain is not drowned by it."""
    defaults = {"trajectory_length": 0.3, "thermalization": 50}
    return partial(HMC, **{**defaults, **options})


@pytest.mark.parametrize("n_proposals", [1, 3])
@pytest.mark.parametrize("make", [prior_only, lambda: moved_flow(*overrides(1, "arch=conv"))])
def test_exact_for_any_flow(make, n_proposals):
    """<phi^2> of the transfer matrix, replicas independent, within five sigma (p = 6e-7)."""
    sampler = Hybrid(make(), ACTION, few_steps(replicas=256, block=100), n_proposals)
    state, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    values = (block.phi**2).mean(1).reshape(100, 256).mean(0)
    error = values.std() / 16
    assert error < 0.01
    assert abs(values.mean() - chain(-1.0, 1.5, length=6)[1]) < 5 * error
    info = sampler.info(state)
    assert 0.001 < info["flow_acceptance"] < 0.9
    assert 0.8 < info["hmc_acceptance"] <= 1
    assert state.proposals == 100 * n_proposals
    assert {"step_size", "n_leapfrog"} <= info.keys()


def test_the_flow_moves_the_chain():
    """Trajectories too short to go anywhere, and configurations that are new all the same."""
    short = few_steps(replicas=64, block=50, trajectory_length=1e-3, sign_flip=False)
    sampler = Hybrid(prior_only(), ACTION, short)
    state = sampler.start(seeded(1))
    after, block = sampler.step(state, seeded(2))
    rows = torch.cat([state.phi, block.phi]).reshape(51, 64, 6)
    jumps = (rows[1:] - rows[:-1]).norm(dim=2) > 0.1
    expected = sampler.info(after)["flow_acceptance"]
    assert jumps.double().mean().item() == pytest.approx(expected, abs=0.03)


def test_it_does_not_stick():
    """Where the flow alone has runs of rejections, every row of the hybrid has moved on."""
    flow = prior_only()
    alone = Metropolis(flow, 1000, ACTION)
    _, block = alone.step(alone.start(seeded(1)), seeded(2))
    sampler = Hybrid(flow, ACTION, few_steps(replicas=10, block=100))
    _, mixed = sampler.step(sampler.start(seeded(1)), seeded(2))
    assert longest_rejection_run(block.accepted) > 20
    assert longest_rejection_run(mixed.accepted, 10) < 5


def test_the_layout_of_a_block():
    sampler = Hybrid(prior_only(), ACTION, few_steps(replicas=8, block=10, thin=3))
    state = sampler.start(seeded(1))
    before = [value.clone() for value in state]
    first, one = sampler.step(state, seeded(2))
    second, two = sampler.step(state, seeded(2))
    assert len(one.phi) == sampler.rows == 80
    assert one.log_weight is None
    assert one.phi.dtype == torch.float64
    torch.testing.assert_close(one.action, ACTION(one.phi))
    assert torch.equal(one.phi, two.phi)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, state, before))
    assert first.trajectories == 30


def test_a_flow_in_float32():
    flow = prior_only().float()
    sampler = Hybrid(flow, ACTION, few_steps(replicas=8, block=2))
    _, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    assert block.phi.dtype == block.action.dtype == torch.float64
    assert next(flow.parameters()).requires_grad


def test_log_q_of_proposals_and_states_is_the_same_function(monkeypatch):
    """A flow whose forward says another log q than its inverse: the chain never sees it."""
    flow = prior_only()
    options = few_steps(replicas=8, block=2)
    right = Hybrid(flow, ACTION, options)
    state = right.start(seeded(1))
    wrong = Hybrid(flow, ACTION, options)
    forward = wrong.density.flow.forward

    def lying(noise):
        phi, log_q = forward(noise)
        return phi, log_q + 3 * phi.mean(1)

    monkeypatch.setattr(wrong.density.flow, "forward", lying)
    phi, log_q = wrong.density.sample(16, seeded(2))
    assert torch.equal(log_q, -wrong.density(phi))
    blocks = [sampler.step(state, seeded(3))[1] for sampler in (right, wrong)]
    assert torch.equal(blocks[0].phi, blocks[1].phi)
    with pytest.raises(ValueError, match=r"differ by .* in log q"):
        wrong.start(seeded(1))
