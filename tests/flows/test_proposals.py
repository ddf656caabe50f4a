import itertools

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.flows.proposals import proposals
from flowlat.utils.rng import Stream
from tests.support.helpers import moved_flow

ACTION = Phi4(1.0, 1.0)


@pytest.fixture(scope="module")
def flow():
    return moved_flow("lattice.shape=[4,4]").float()


def draw(flow, rank=0, world_size=1, seed=3, step=0):
    batches = proposals(flow, ACTION, 250, 100, seed, Stream.FINAL, step, rank, world_size)
    return list(batches)


def test_batches_are_what_was_asked_for(flow):
    batches = draw(flow)
    assert [len(batch.phi) for batch in batches] == [100, 100, 50]
    for phi, log_weight, action in batches:
        assert phi.dtype == torch.float32
        assert log_weight.dtype == action.dtype == torch.float64
        assert not log_weight.requires_grad
        torch.testing.assert_close(action, ACTION(phi.double()))
        expected = -action - flow.log_prob(phi).double()
        torch.testing.assert_close(log_weight, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_ranks_share_out_the_proposals_of_one(flow, world_size):
    alone = draw(flow)
    shares = [draw(flow, rank, world_size) for rank in range(world_size)]
    assert min(map(len, shares)) == len(alone) // world_size
    for a, b in zip(alone, itertools.chain(*shares), strict=True):
        assert torch.equal(a.phi, b.phi)
        assert torch.equal(a.log_weight, b.log_weight)


def test_batches_seeds_and_steps_differ(flow):
    firsts = [draw(flow)[0], draw(flow)[1], draw(flow, seed=4)[0], draw(flow, step=1)[0]]
    assert len({batch.action[0].item() for batch in firsts}) == 4
