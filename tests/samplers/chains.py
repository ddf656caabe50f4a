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


def prior_only():
    """Couplings that are the identity: unit Gaussians, far from any interacting theory."""
    flow = build_flow(compose(overrides(1, "arch=combconv_k1", "prior=normal"))).double()
    with torch.no_grad():
        for parameter in flow.bijection.parameters():
            parameter.zero_()
    return flow
