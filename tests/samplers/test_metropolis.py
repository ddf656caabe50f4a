import numpy as np
import pytest
import torch
from torch import nn

from flowlat.actions import Phi4
from flowlat.analysis import exact
from flowlat.analysis.gamma_method import gamma_method
from flowlat.lattice import Lattice
from flowlat.priors import FreeField
from flowlat.samplers import Metropolis, chain_index
from flowlat.samplers.independence import starts
from flowlat.samplers.independence.chain import decide, uniform
from tests.support.helpers import moved_flow, overrides


def test_blocks_of_a_flow(monkeypatch):
    """Weights, actions and flags of each row; the state carries on between the blocks."""
    flow, action = moved_flow(*overrides(2, "arch=combconv_k1")), Phi4(-4.0, 8.0)
    sampler = Metropolis(flow, 40, action, replicas=4)
    monkeypatch.setattr(starts, "FEWEST", 10_000)  # never enough to start anew
    state, current = sampler.start(torch.Generator().manual_seed(1)), None
    for number in range(5):
        after, block = sampler.step(state, torch.Generator().manual_seed(number))
        again = sampler.step(state, torch.Generator().manual_seed(number))[1]
        pairs = list(zip(block, again, strict=True))
        assert all(torch.equal(a, b) for a, b in pairs if a is not None)
        assert len(block.phi) == sampler.rows == 40
        torch.testing.assert_close(block.action, action(block.phi))
        torch.testing.assert_close(block.log_weight, -block.action - flow.log_prob(block.phi))
        generator = torch.Generator().manual_seed(number)
        flow.sample(40, generator)
        u = uniform(48, generator)[:40]
        accepted, current = decide(block.log_weight, current, 4, u)
        assert torch.equal(block.accepted, accepted)
        assert torch.equal(after.log_weight, current)
        assert block.accepted[:4].all() == (number == 0)
        state = after


def test_a_batch_that_is_no_multiple_is_refused():
    flow = moved_flow(*overrides(1, "arch=combconv_k1"))
    with pytest.raises(ValueError, match="batch_size=10: must be a multiple of replicas=3"):
        Metropolis(flow, 10, Phi4(1.0, 1.0), replicas=3)


def test_the_steps_are_those_of_the_calibration():
    """The state has them, for blocks that are drawn elsewhere, and takes the offset off."""
    flow = moved_flow(*overrides(2, "arch=continuous")).float()
    sampler = Metropolis(flow, 32, Phi4(-1.0, 1.5))
    state = sampler.start(torch.Generator().manual_seed(1))
    assert sampler.info(state) == {"flow_steps": int(state.steps)}
    assert state.steps > 1
    assert state.systematic > 0 != state.offset
    one, _ = sampler.draw(state, torch.Generator().manual_seed(2))
    coarse, _ = sampler.draw(
        state._replace(steps=torch.tensor(1)), torch.Generator().manual_seed(2)
    )
    again, _ = sampler.draw(state, torch.Generator().manual_seed(2))
    raw, _ = sampler.draw(state._replace(offset=torch.zeros(())), torch.Generator().manual_seed(2))
    assert torch.equal(one.phi, again.phi)
    assert not torch.equal(one.phi, coarse.phi)
    torch.testing.assert_close(raw.log_weight - one.log_weight, state.offset.expand(32))
    after, _ = sampler.step(state, torch.Generator().manual_seed(3))
    assert after[2:5] == state[2:5]


class Gaussian(nn.Module):
    """A "flow" that is a free field of some mass, far too wide: acceptance 0.17, ESS 0.19."""

    crosses = False

    def __init__(self, lattice, mass2):
        super().__init__()
        self.prior = FreeField(lattice, mass2).double()

    def sample(self, n, generator):
        shape = (n, *self.prior.lattice.shape)
        with torch.no_grad():
            return self.prior(torch.randn(shape, generator=generator, dtype=torch.float64))


def run(sampler, blocks, seed, measure):
    """State, accept flags, and what is measured on each row, of so many blocks."""
    state, flags, values = sampler.initial_state(), [], []
    for number in range(blocks):
        stream = torch.Generator().manual_seed(1000 * seed + number)
        state, block = sampler.step(state, stream)
        flags.append(block.accepted)
        values.append(measure(block.phi))
    return state, torch.cat(flags), torch.cat(values)


def test_the_errors_of_short_replicas_of_a_poor_flow_hold_the_truth():
    """64 replicas of 512 steps, 32 runs. Two in three errors of phi2 should hold the exact value:
    fewer than 12 of 32 has p = 3e-4 if it is 0.64, and 1e-4 if it is 0.66; of chains that start at
    a proposal none did (pulls of 3.8). The mean pull is below 1: p = 2e-8 without bias."""
    lattice, m2, lam, rows = Lattice((8,)), -1.0, 1.0, 64 * 512
    exactly = exact.transfer_matrix(m2, lam, 8)["phi2"]
    sampler = Metropolis(Gaussian(lattice, 0.02), rows // 8, Phi4(m2, lam), replicas=64)
    pulls = []
    for seed in torch.randint(2**20, (32,)).tolist():
        state, accepted, phi2 = run(sampler, 8, seed, lambda phi: (phi**2).mean(1))
        first, index = sampler.chains(state, accepted, rows)
        assert 0 < first < rows / 10
        chains = [phi2[index[first:][r::64]].numpy() for r in range(64)]
        estimate = gamma_method(chains, "phi2")
        pulls.append((estimate.value - exactly) / estimate.error)
    assert (np.abs(pulls) < 1).sum() >= 12
    assert abs(np.mean(pulls)) < 1


def test_a_run_that_goes_on_has_the_same_chains():
    """In blocks of which the first ends while the starts are being gathered."""
    sampler = Metropolis(Gaussian(Lattice((8,)), 0.02), 128, Phi4(-1.0, 1.0), replicas=16)
    short, flags, _ = run(sampler, 8, 3, lambda phi: phi)
    state, more, _ = run(sampler, 16, 3, lambda phi: phi)
    assert torch.equal(more[: len(flags)], flags)
    first, index = sampler.chains(short, flags, len(flags))
    again = sampler.chains(state, more, len(more))
    assert first == again[0] > 128
    assert torch.equal(again[1][: len(index)], index)
    for r in range(16):  # by hand, from where the state says that the replica starts
        at = int(state.row[r])
        assert at < first
        for row in range(first + r, len(more), 16):
            at = row if more[row] else at
            assert again[1][row] == at
    # a run that ends before there are starts has the chains of old
    none, plain = sampler.chains(short, flags, first)
    assert none == 0
    assert torch.equal(plain, chain_index(flags, 16))
