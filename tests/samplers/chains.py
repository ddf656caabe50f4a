"""What the tests of Markov chains share."""

import torch

from flowlat import build_flow, compose
from tests.support.helpers import overrides


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def sample(sampler, n_blocks, seed=1):
    """(phi ``(steps, replicas, *shape)``, the last state)."""
    state = sampler.start(seeded(seed))
    blocks = []
    for number in range(n_blocks):
        state, block = sampler.step(state, seeded(1000 * seed + number))
        blocks.append(block.phi)
    phi = torch.cat(blocks)
    return phi.reshape(-1, sampler.replicas, *phi.shape[1:]), state


def assert_means(values, exact, sigmas=5.0):
    """Means over the steps ``(steps, replicas, ...)``: replicas are independent.

    Five sigma, p = 6e-7 a number, and an error that could tell a wrong sampler.
    """
    means = values.mean(0)
    error = means.std(0) / means.shape[0] ** 0.5
    assert (error < 0.05).all()
    assert ((means.mean(0) - exact).abs() < sigmas * error).all()


def reproducible_step(sampler):
    """The start, its next state, and two blocks: functions of state and generator alone.

    The start is left as it was.
    """
    state = sampler.start(seeded(1))
    before = [value.clone() for value in state]
    torch.manual_seed(1)
    first, one = sampler.step(state, seeded(2))
    torch.manual_seed(2)
    second, two = sampler.step(state, seeded(2))
    assert torch.equal(one.phi, two.phi)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, state, before))
    return state, first, one, two


def assert_reproducible(sampler):
    """A block of a chain is a function of the state and of the generator, and of no other."""
    state, _, one, two = reproducible_step(sampler)
    assert torch.equal(one.accepted, two.accepted)
    assert not torch.equal(sampler.step(state, seeded(3))[1].phi, one.phi)


def assert_goes_on_from_a_file(sampler):
    """Bit for bit, however the tensors of the state lie in memory."""
    state, block = sampler.step(sampler.start(seeded(1)), seeded(2))
    tensors = {k: torch.from_numpy(v.numpy().copy(order="C")) for k, v in state._asdict().items()}
    read = type(sampler.initial_state())(**tensors)
    assert state.phi.stride() != read.phi.stride()
    expected, found = sampler.step(state, seeded(3))[1], sampler.step(read, seeded(3))[1]
    assert torch.equal(found.phi, expected.phi)
    assert torch.equal(found.action, expected.action)
    assert block.phi.is_contiguous()


def assert_rejects_what_blows_up(sampler):
    """Trajectories of far too long steps."""
    step_size = torch.tensor(1e3, dtype=torch.float64)
    state = sampler.start(seeded(1))._replace(step_size=step_size)
    after, block = sampler.step(state, seeded(2))
    assert not block.accepted.any()
    assert torch.equal(after.phi.abs(), state.phi.abs())


def prior_only(d=1):
    """Couplings that are the identity: unit Gaussians, far from any interacting theory."""
    names = overrides(d, "arch=combconv_k1", "arch.n_couplings=2", "prior=normal")
    flow = build_flow(compose(names)).double()
    with torch.no_grad():
        for parameter in flow.bijection.parameters():
            parameter.zero_()
    return flow
